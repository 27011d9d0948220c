#include "carpd/core/timers.h"

#include "common/check.h"

dur_t timers_interval(dur_t advbase, uint8_t advskew)
{
	CHECK(advbase.us > 0);
	return dur_us(advbase.us * (256 + advskew) / 256);
}

dur_t timers_beacon(dur_t advbase)
{
	return dur_max(advbase, dur_ms(100));
}

dur_t timers_master_down(dur_t advbase, uint8_t dead_factor, dur_t master_interval, uint8_t advskew)
{
	CHECK(dead_factor >= 2);
	return dur_add(dur_mul(dur_max(advbase, master_interval), dead_factor),
		dur_us(advbase.us * advskew / 256));
}

dur_t timers_beacon_down(dur_t advbase, uint8_t dead_factor, dur_t peer_interval)
{
	return dur_mul(dur_max(timers_beacon(advbase), peer_interval), dead_factor);
}

dur_t timers_stagger(dur_t advbase, uint8_t k)
{
	return dur_mul(dur_max(dur_ms(2), dur_us(advbase.us / 4)), k);
}

dur_t timers_confirm_margin(dur_t interval)
{
	return dur_min(dur_ms(2), dur_us(interval.us / 4));
}

dur_t timers_hold(dur_t configured, dur_t master_down)
{
	if (configured.us > 0)
		return configured;
	return dur_max(dur_s(1), dur_mul(master_down, 2));
}
