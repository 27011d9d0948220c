/* election.pml: who is master, with two or three nodes, lost adverts, cut links, crashes, sleeps and
 * hand-overs; every order of at most FAULTS of them.
 *
 * Time is a count of advert intervals. In each round the environment may do one thing; then every
 * node that is awake sends one advert, which all links that are up carry; then every node judges, by
 * the rules of carpd/core (backup.c, group.c, dual.c, handover.c, stalls.c), what it has heard. All
 * nodes are equally healthy: demotions, paths and interface tests are the simulator's (tests/sim).
 *
 * What is checked, from outside, with what really happened:
 *   dual      two masters that hear each other both ways: at most DUAL_MAX rounds, an overlap of a
 *             hand-over left out
 *   early     no takeover while adverts of a living master arrive
 *   back      a new master's term is above every term that it has heard
 *   gap       a hand-over that nothing disturbs has a master in every round
 *   heal      of two masters that hear each other one stays
 *   word      who slept as a master is silent while there is another one
 *   none      when nothing has happened for CALM_MAX rounds and all links are up: exactly one master
 *
 * -DMUT_DUAL    a master does not yield to a better term
 * -DMUT_EARLY   dead after one missed advert
 * -DMUT_TERM    a promotion takes the next term of its own, not above those heard
 * -DMUT_TAIL    the old master leaves as soon as it sees the target promoting
 * -DMUT_STALL   who slept as a master goes on as one, and its clock forgives itself
 * -DMUT_YIELD   both of two masters yield
 */
#ifndef N
#define N 2
#endif
#ifndef FAULTS
#define FAULTS 4
#endif
#define DEAD	 3 /* dead_factor */
#define HOLD	 4 /* start-up hold: more than master-down and everybody's place */
#define TERM_MAX 14
#define DUAL_MAX 2
#define CALM_MAX (4 * DEAD + HOLD)
#define NOBODY	 N

#ifdef MUT_EARLY
#define ALIVE(n, p) (silent[LINK(n, p)] < 1)
#else
#define ALIVE(n, p) (silent[LINK(n, p)] < DEAD)
#endif
#define HELD_BY(n, p) ((p) != (n) && HOLDS(seen[LINK(n, p)]) && ALIVE(n, p))

mtype = {MASTER, PROMOTING, BACKUP, INIT, OFF}; /* from 5 to 1 */

/* terms compare as (number, node id) */
#define TERM(number, id) ((number) * N + (id))
#define LINK(i, j)	 ((i) * N + (j))
#define HOLDS(s)	 ((s) == PROMOTING || (s) == MASTER)

mtype state[N];
byte term[N], timer[N]; /* timer: of INIT; of PROMOTING: rounds to go */
byte top[N];			  /* the highest term heard or had */
byte vacant[N];			  /* a backup that has left waits so long for a successor */
byte listen[N];			  /* a lone master that slept: rounds of silence to go */
byte to[N], from[N];		  /* hand-over: offered to; taken from */
byte id[N], from_id[N];		  /* of the own offer; of the one that was taken */
bool begun[N], tail[N];		  /* old master: the target was seen promoting; is master */
byte took[N], took_id[N];	  /* the last offer that was taken: none is taken twice */
bool told[N];			  /* this winner of two masters has raised its term */
bool asleep[N], alone[N]; /* alone: heard nobody when it fell asleep */
byte slept[N];

mtype seen[N * N];
byte silent[N * N], claim[N * N], gives[N * N], gives_id[N * N], takes[N * N], takes_id[N * N]; /* (i, j): of j, as i knows it */
bool up[N * N], drop[N * N];

byte dual[N * N]; /* rounds; checker */
byte quiet[N * N]; /* rounds since an advert of j really reached i */
byte faults, calm;
bool planned; /* a hand-over is under way, and nothing else has happened since */
bool two;     /* two masters have just heard each other */
byte i, j, place, masters, lords, number;
byte stop, all;
mtype sent_state[N];
byte sent_term[N], sent_to[N], sent_id[N], sent_from[N], sent_from_id[N];

inline forget(n)
{
	j = 0;
	do
	:: j < N -> silent[LINK(n, j)] = DEAD; seen[LINK(n, j)] = OFF; claim[LINK(n, j)] = 0;
		gives[LINK(n, j)] = NOBODY; gives_id[LINK(n, j)] = 0;
		takes[LINK(n, j)] = NOBODY; takes_id[LINK(n, j)] = 0; j++
	:: else -> break
	od
}

inline become(n, s)
{
	state[n] = s;
	told[n] = false;
	to[n] = NOBODY;
	begun[n] = false;
	tail[n] = false;
	listen[n] = 0;
	vacant[n] = 0;
}

/* Out of PROMOTING or MASTER: nobody may have the group. */
inline leave(n)
{
	become(n, BACKUP);
	from[n] = NOBODY;
	from_id[n] = 0;
	timer[n] = 0;
	vacant[n] = DEAD;
}

inline next_term(n)
{
#ifdef MUT_TERM
	number = term[n] / N + 1;
#else
	number = top[n] / N + 1;
#endif
	assert(number < TERM_MAX);
	term[n] = TERM(number, n);
	j = 0;
	do
	:: j < N -> assert(j == n || term[n] > claim[LINK(n, j)]); j++ /* back */
	:: else -> break
	od;
	top[n] = term[n];
}

inline promote(n, old)
{
	become(n, PROMOTING);
	from[n] = old;
	from_id[n] = 0;
	timer[n] = 2;
	next_term(n);
}

/* ---- the environment ---- */

inline boot(n)
{
	become(n, INIT);
	term[n] = 0;
	top[n] = 0;
	from[n] = NOBODY;
	from_id[n] = 0;
	took[n] = NOBODY;
	took_id[n] = 0;
	id[n] = 0;
	timer[n] = HOLD;
	forget(n)
}

inline something_happens()
{
	atomic {
		if
		:: true -> skip
		:: faults < FAULTS ->
			faults++;
			calm = 0;
			select(i : 0 .. N - 1);
			if
			:: state[i] != OFF && !asleep[i] -> planned = false; become(i, OFF); forget(i);
				term[i] = 0; top[i] = 0; from[i] = NOBODY; from_id[i] = 0;
				took[i] = NOBODY; took_id[i] = 0; timer[i] = 0
			:: state[i] == OFF -> planned = false; boot(i)
			:: state[i] != OFF && !asleep[i] -> planned = false;
				asleep[i] = true;
				alone[i] = true;
				j = 0;
				do
				:: j < N -> if :: j != i && ALIVE(i, j) -> alone[i] = false
						:: else -> skip fi; j++
				:: else -> break
				od
			:: asleep[i] -> asleep[i] = false
			:: select(j : 0 .. N - 1);
				if
				:: i != j -> planned = false; up[LINK(i, j)] = !up[LINK(i, j)]
				:: i == j -> skip
				fi
			:: select(j : 0 .. N - 1);
				if
				:: i != j -> planned = false; drop[LINK(i, j)] = true
				:: i == j -> skip
				fi
			:: state[i] == MASTER && !asleep[i] && slept[i] == 0 && listen[i] == 0 &&
					to[i] == NOBODY && from[i] == NOBODY ->
				select(j : 0 .. N - 1);
				if
				:: j != i && silent[LINK(i, j)] == 0 && seen[LINK(i, j)] == BACKUP ->
					to[i] = j;
					id[i] = 1 + id[i] % 3; /* never that of the last one */
					/* from here on, what disturbs it ends the promise */
					planned = !asleep[j] && slept[j] == 0 && state[j] == BACKUP && up[LINK(i, j)] &&
						up[LINK(j, i)]
				:: else -> skip
				fi
			fi
		fi
	}
}

/* ---- a round ---- */

inline send_all()
{
	i = 0;
	do
	:: i < N ->
		sent_state[i] = (asleep[i] || listen[i] > 0 -> OFF : state[i]);
		sent_term[i] = term[i];
		sent_to[i] = to[i];
		sent_id[i] = id[i];
		sent_from[i] = from[i];
		sent_from_id[i] = from_id[i];
		j = 0;
		do
		:: j < N -> assert(i == j || slept[i] < DEAD || asleep[i] ||
				sent_state[i] != MASTER || state[j] != MASTER || asleep[j]); j++ /* word */
		:: else -> break
		od;
		if
		:: !asleep[i] -> slept[i] = 0
		:: else -> skip
		fi;
		i++
	:: else -> break
	od
}

inline hear(n, p)
{
	if
	:: sent_state[p] != OFF && up[LINK(p, n)] && !drop[LINK(p, n)] ->
		quiet[LINK(n, p)] = 0;
		if
		:: state[n] != OFF -> /* who sleeps reads it when it wakes, before it judges */
			silent[LINK(n, p)] = 0;
			seen[LINK(n, p)] = sent_state[p];
			claim[LINK(n, p)] = (HOLDS(sent_state[p]) -> sent_term[p] : 0);
			gives[LINK(n, p)] = sent_to[p];
			gives_id[LINK(n, p)] = (sent_to[p] == NOBODY -> 0 : sent_id[p]);
			takes[LINK(n, p)] = sent_from[p];
			takes_id[LINK(n, p)] = (sent_from[p] == NOBODY -> 0 : sent_from_id[p]);
			if
			:: HOLDS(sent_state[p]) && sent_term[p] > top[n] -> top[n] = sent_term[p]
			:: else -> skip
			fi
		:: else -> skip
		fi
	:: else ->
		quiet[LINK(n, p)] = (quiet[LINK(n, p)] < DEAD -> quiet[LINK(n, p)] + 1 : DEAD);
		if
		:: !asleep[n] ->
			silent[LINK(n, p)] =
				(silent[LINK(n, p)] < DEAD -> silent[LINK(n, p)] + 1 : DEAD)
		:: else -> skip
		fi
	fi;
	drop[LINK(p, n)] = false
}

inline judge_init(n)
{
	timer[n] = timer[n] - 1;
	if
	:: timer[n] == 0 -> become(n, BACKUP)
	:: else -> skip
	fi
}

/* The k-th best of the living backups waits k rounds more: lower numbers are better. */
inline judge_backup(n)
{
	stop = false;
	place = 0;
	j = 0;
	do
	:: j < N ->
		if
		:: j != n && ALIVE(n, j) && seen[LINK(n, j)] == MASTER && gives[LINK(n, j)] == n &&
				(took[n] != j || took_id[n] != gives_id[LINK(n, j)]) && !stop ->
			stop = true;
			took[n] = j;
			took_id[n] = gives_id[LINK(n, j)];
			promote(n, j);
			from_id[n] = took_id[n];
			j = N - 1 /* promote() has used it */
		:: else -> skip
		fi;
		j++
	:: else -> break
	od;
	j = 0;
	do
	:: j < N ->
		if
		:: HELD_BY(n, j) -> stop = true
		:: j < n && ALIVE(n, j) && seen[LINK(n, j)] != INIT && seen[LINK(n, j)] != OFF -> place++
		:: else -> skip
		fi;
		j++
	:: else -> break
	od;
	if
	:: state[n] == PROMOTING -> skip
	:: state[n] != PROMOTING && stop -> timer[n] = 0; vacant[n] = 0
	:: !stop && vacant[n] > 0 -> vacant[n] = vacant[n] - 1
	:: !stop && vacant[n] == 0 && timer[n] < place -> timer[n] = timer[n] + 1
	:: else ->
		j = 0;
		do /* early */
		:: j < N -> assert(j == n || asleep[j] || state[j] != MASTER ||
				seen[LINK(n, j)] != MASTER || quiet[LINK(n, j)] >= DEAD); j++
		:: else -> break
		od;
		promote(n, NOBODY)
	fi
}

inline judge_promoting(n)
{
	stop = false;
	j = 0;
	do
	:: j < N ->
		if
		:: HELD_BY(n, j) && seen[LINK(n, j)] == PROMOTING && claim[LINK(n, j)] > term[n] ->
			stop = true
		:: HELD_BY(n, j) && seen[LINK(n, j)] == MASTER && from[n] != j -> stop = true
		/* the old master gave up on us */
		:: HELD_BY(n, j) && seen[LINK(n, j)] == MASTER && from[n] == j &&
				(gives[LINK(n, j)] != n || gives_id[LINK(n, j)] != from_id[n]) -> stop = true
		:: else -> skip
		fi;
		j++
	:: else -> break
	od;
	if
	:: stop -> leave(n)
	:: !stop && timer[n] > 0 -> timer[n] = timer[n] - 1
	:: else -> become(n, MASTER)
	fi
}

/* The other side of a hand-over is no second master. */
#define RELATED(n, p) (to[n] == (p) || (from[n] == (p) && \
	gives[LINK(n, p)] == (n) && gives_id[LINK(n, p)] == from_id[n]))

inline judge_two(n)
{
	stop = false;
	j = 0;
	do
	:: j < N && !stop ->
		if
		:: HELD_BY(n, j) && seen[LINK(n, j)] == MASTER && !RELATED(n, j) ->
			if
#ifdef MUT_YIELD
			:: true -> stop = true
#endif
#ifndef MUT_DUAL
			:: claim[LINK(n, j)] > term[n] -> stop = true
#endif
			:: claim[LINK(n, j)] <= term[n] && !told[n] ->
				told[n] = true;
				place = j;
				next_term(n);
				j = place
			:: else -> skip
			fi
		:: else -> skip
		fi;
		j++
	:: else -> break
	od;
	if
	:: stop -> leave(n)
	:: else -> skip
	fi
}

inline judge_offer(n)
{
	place = to[n];
	if
	:: ALIVE(n, place) && seen[LINK(n, place)] == PROMOTING && takes[LINK(n, place)] == n &&
			takes_id[LINK(n, place)] == id[n] -> begun[n] = true
	:: else -> skip
	fi;
	if
	:: !ALIVE(n, place) || (begun[n] && !HOLDS(seen[LINK(n, place)])) -> /* silent; gave up */
		to[n] = NOBODY;
		begun[n] = false;
		tail[n] = false;
		planned = false;
		next_term(n)
#ifdef MUT_TAIL
	:: ALIVE(n, place) && HOLDS(seen[LINK(n, place)]) -> leave(n)
#else
	:: ALIVE(n, place) && seen[LINK(n, place)] == MASTER && claim[LINK(n, place)] > term[n] ->
		if
		:: !tail[n] -> tail[n] = true
		:: else -> leave(n); planned = false
		fi
#endif
	:: else -> skip
	fi
}

inline judge_master(n)
{
	judge_two(n);
	if
	:: state[n] == MASTER && from[n] != NOBODY ->
		/* the overlap is over when the old master no longer has it */
		if
		:: !HELD_BY(n, from[n]) || gives[LINK(n, from[n])] != n ||
				gives_id[LINK(n, from[n])] != from_id[n] -> from[n] = NOBODY; from_id[n] = 0
		:: else -> skip
		fi
	:: state[n] == MASTER && from[n] == NOBODY && to[n] != NOBODY -> judge_offer(n)
	:: else -> skip
	fi
}

/* A master or candidate that slept too long while a peer lived goes before it says a word. Alone, it
 * listens in silence first, and stays unless somebody claims the group. A backup has slept through
 * nobody's silence. */
inline wake(n)
{
	if
#ifndef MUT_STALL
	:: !asleep[n] && HOLDS(state[n]) && slept[n] >= DEAD ->
		if
		:: alone[n] && state[n] == MASTER -> listen[n] = DEAD
		:: else -> leave(n)
		fi
#endif
	:: else -> skip
	fi
}

inline judge_listening(n)
{
	listen[n] = listen[n] - 1;
	j = 0;
	do
	:: j < N -> if :: HELD_BY(n, j) && state[n] == MASTER -> leave(n) :: else -> skip fi; j++
	:: else -> break
	od
}

inline judge(n)
{
	if
	:: asleep[n] -> slept[n] = (slept[n] < DEAD -> slept[n] + 1 : DEAD)
	:: !asleep[n] && state[n] == INIT -> judge_init(n)
	:: !asleep[n] && state[n] == BACKUP -> judge_backup(n)
	:: !asleep[n] && state[n] == PROMOTING -> judge_promoting(n)
	:: !asleep[n] && state[n] == MASTER && listen[n] > 0 -> judge_listening(n)
	:: !asleep[n] && state[n] == MASTER && listen[n] == 0 -> judge_master(n)
	:: !asleep[n] && state[n] == OFF -> skip
	fi
}

inline find_two()
{
	two = false;
	i = 0;
	do
	:: i < N ->
		j = 0;
		do
		:: j < i ->
			if
			:: sent_state[i] == MASTER && sent_state[j] == MASTER && quiet[LINK(i, j)] == 0 &&
					quiet[LINK(j, i)] == 0 -> two = true
			:: else -> skip
			fi;
			j++
		:: else -> break
		od;
		i++
	:: else -> break
	od
}

inline check()
{
	masters = 0;
	lords = 0;
	all = true;
	i = 0;
	do
	:: i < N ->
		if
		:: state[i] == MASTER && !asleep[i] -> masters++
		:: else -> skip
		fi;
		if
		:: state[i] != OFF && !asleep[i] -> lords++
		:: asleep[i] -> all = false
		:: else -> skip
		fi;
		j = 0;
		do
		:: j < N ->
			if
			:: i < j && state[i] == MASTER && state[j] == MASTER && !asleep[i] && !asleep[j] &&
					quiet[LINK(i, j)] == 0 && quiet[LINK(j, i)] == 0 &&
					!RELATED(i, j) && !RELATED(j, i) ->
				dual[LINK(i, j)] = dual[LINK(i, j)] + 1;
				assert(dual[LINK(i, j)] <= DUAL_MAX) /* dual */
			:: else -> dual[LINK(i, j)] = 0
			fi;
			if
			:: !up[LINK(i, j)] -> all = false
			:: else -> skip
			fi;
			j++
		:: else -> break
		od;
		i++
	:: else -> break
	od;
	assert(!planned || masters > 0); /* gap */
	assert(!two || masters > 0);	 /* heal */
	two = false;
	if
	:: all && calm >= CALM_MAX && lords > 0 -> assert(masters == 1) /* none */
	:: else -> skip
	fi;
	if
	:: !all -> calm = 0
	:: all && calm < CALM_MAX -> calm++
	:: else -> skip
	fi
}

init
{
	d_step {
		i = 0;
		do
		:: i < N -> boot(i); j = 0;
			do
			:: j < N -> up[LINK(i, j)] = true; quiet[LINK(i, j)] = DEAD; j++
			:: else -> break
			od;
			i++
		:: else -> break
		od
	}
	do
	:: something_happens();
		d_step {
			i = 0;
			do
			:: i < N -> wake(i); i++
			:: else -> break
			od;
			send_all();
			i = 0;
			do
			:: i < N ->
				masters = 0;
				do
				:: masters < N -> if :: masters != i -> hear(i, masters) :: else -> skip fi;
					masters++
				:: else -> break
				od;
				i++
			:: else -> break
			od;
			find_two();
			i = 0;
			do
			:: i < N -> judge(i); i++
			:: else -> break
			od;
			i = 0;
			do
			:: i < N -> printf("%d:%e%d t%d to%d from%d sil%d | ", i, state[i], asleep[i], term[i],
					to[i], from[i], silent[LINK(i, (i + 1) % N)]); i++
			:: else -> printf("faults %d planned %d\n", faults, planned); break
			od;
			check();
			i = 0; j = 0; place = 0; masters = 0; lords = 0; number = 0;
			stop = false; all = false;
			i = 0;
			do
			:: i < N -> sent_state[i] = OFF; sent_term[i] = 0; sent_to[i] = 0;
				sent_id[i] = 0; sent_from[i] = 0; sent_from_id[i] = 0; i++
			:: else -> break
			od;
			i = 0
		}
	od
}
