/* replay.pml: no advert is accepted twice, and no replay locks the living peer out.
 *
 * One sender, one receiver, and somebody who has recorded everything that was ever said and says it
 * again whenever he likes. Both may reboot, with empty state directories. The receiver keeps one
 * proven epoch and the highest counter; an advert of another epoch is answered with a fresh
 * challenge, and proves its epoch only by echoing it (carpd/core/peers.c, doc/protocol-advert.md,
 * "Replay"). A challenge is a random number: here the next one, never used before.
 *
 * -DMUT_NONCE   one nonce a life of the receiver instead of a fresh challenge: a second acceptance
 * -DMUT_WINDOW  the proven epoch's counter is not looked at
 * -DMUT_LOCK    a stranger's epoch is refused as long as the proven one is known: a lockout
 */
#ifndef EPOCHS
#define EPOCHS 3 /* lives of the sender */
#endif
#define COUNTERS 3 /* adverts a life, besides the last two, which are the probe's */
#ifndef CHALLENGES
#define CHALLENGES 5
#endif
#define NONE 0

#define AT(e, c) ((e) * (COUNTERS + 3) + (c))

byte epoch = 1, counter, echo; /* the sender: its life, its last counter, what it was asked */
byte proven, highest, asked;   /* the receiver: 0 = nothing */
byte fresh;                    /* challenges used so far */
byte lives = 1;                /* of the receiver */
byte said[24];                 /* of each advert: 1 + what it echoed; 0 = never sent */
bool accepted[24];
bool took;

inline challenge()
{
#ifdef MUT_NONCE
	echo = asked; /* chosen at the boot */
#else
	fresh++;
	asked = fresh;
	echo = asked;
#endif
}

inline accept(e, c)
{
	assert(!accepted[AT(e, c)]); /* never twice */
	accepted[AT(e, c)] = true;
	proven = e;
	highest = c;
	took = true;
}

/* What the receiver makes of the advert (e, c), whoever has delivered it. */
inline receive(e, c)
{
	took = false;
	if
	:: e == proven && c > highest -> accept(e, c)
#ifdef MUT_WINDOW
	:: e == proven && c <= highest -> accept(e, c)
#else
	:: e == proven && c <= highest -> skip /* REPLAYED */
#endif
	:: e != proven && asked != NONE && said[AT(e, c)] == asked + 1 ->
		accept(e, c);
#ifndef MUT_NONCE
		asked = NONE
#endif
#ifdef MUT_LOCK
	:: e != proven && proven != NONE && !(asked != NONE && said[AT(e, c)] == asked + 1) -> skip
	:: e != proven && proven == NONE && !(asked != NONE && said[AT(e, c)] == asked + 1) ->
#else
	:: e != proven && !(asked != NONE && said[AT(e, c)] == asked + 1) ->
#endif
		if
		:: fresh < CHALLENGES + 2 -> challenge() /* EPOCH_UNPROVEN */
		:: else -> skip
		fi
	fi
}

inline send()
{
	counter++;
	said[AT(epoch, counter)] = echo + 1;
}

active proctype everything()
{
	byte e, c;

#ifdef MUT_NONCE
	fresh++;
	asked = fresh;
#endif
	do
	:: atomic { counter < COUNTERS && fresh < CHALLENGES -> /* an advert arrives */
		send();
		receive(epoch, counter)
	}
	:: atomic { counter < COUNTERS -> send() } /* an advert is lost, or kept */
	:: atomic { fresh < CHALLENGES -> /* a recorded one is said again, or late */
		select(e : 1 .. EPOCHS);
		select(c : 1 .. COUNTERS);
		if
		:: said[AT(e, c)] != 0 -> receive(e, c)
		:: else -> skip
		fi
	}
	:: atomic { epoch < EPOCHS -> epoch++; counter = 0; echo = NONE } /* the sender reboots */
	:: atomic { lives < 3 -> /* the receiver does */
		lives++;
		proven = NONE;
		highest = 0;
#ifdef MUT_NONCE
		fresh++;
		asked = fresh;
#else
		asked = NONE;
#endif
	}
	:: atomic { true -> /* left alone, the living peer is heard with its second word */
		send();
		receive(epoch, counter);
		if
		:: !took -> send(); receive(epoch, counter)
		:: else -> skip
		fi;
		assert(took);
		break
	}
	od
}
