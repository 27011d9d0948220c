/* syncfaults.h: what happens to the world of syncd: clients, carpd's decisions, faults.
 *
 * The faults of a seed are drawn at once, each with its own dice, so that a run can leave some out
 * (shrinking). carpd is played by two rules: a group without a master gets one after a while, and a
 * master that hears of a higher term becomes backup after a while. */
#ifndef TESTS_SIM_SYNCFAULTS_H
#define TESTS_SIM_SYNCFAULTS_H

#include "syncworld.h"

void syncfaults_make(struct syncworld *w);

/* syncfaults_step: everything that is due now. */
void syncfaults_step(struct syncworld *w);

/* syncfaults_heal: no fault from now on, and what was broken is put right. */
void syncfaults_heal(struct syncworld *w);

/* syncfaults_touch_all: each living connection changes something at its master once more. */
void syncfaults_touch_all(struct syncworld *w);

const char *syncfaults_name(enum syncworld_fault_type type);

#endif
