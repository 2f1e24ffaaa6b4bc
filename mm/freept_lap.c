// SPDX-License-Identifier: GPL-2.0
/*
 * Laps of the background reclaim of empty PTE tables
 *
 * A lap is once through the address space of a process, in runs.  Here is what
 * one has to begin with, what is learned from it, and when the next one is worth
 * its price; mm/freept_scan.c is who does the work.
 */
#include <linux/freept.h>
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm_types.h>

#include "freept.h"

/* The delay is doubled so often: where laps free little, and where it is wrong */
#define FREEPT_IDLE_MAX		3
#define FREEPT_HARM_MAX		7

/**
 * freept_price - the time to pay for in pauses
 * @scan_ns: time that looking took, as the engine tells it
 * @work: what was looked at, in tables
 * @nr_freed: tables freed of those
 *
 * Context: Any.
 * Return: ns spent on looking at what then was not freed.
 */
u64 freept_price(u64 scan_ns, unsigned long work, unsigned long nr_freed)
{
	if (!work)
		return scan_ns;
	return div64_ul(scan_ns * (work - min(nr_freed, work)), work);
}

/**
 * freept_lap_delay - the time between two laps
 * @mm: the mm
 *
 * Context: Any; what it is made from can change.
 * Return: Jiffies, freept_delay() and up to 2^FREEPT_HARM_MAX times that.
 */
unsigned long freept_lap_delay(struct mm_struct *mm)
{
	return freept_delay() << max(mm->freept.idle, mm->freept.harm);
}

/**
 * freept_lap_end - a lap, that is once through the address space, is over
 * @mm: the mm
 *
 * How long until the next one?  The delay is doubled
 *
 *  - when next to nothing of what the lap has looked at was empty, three times at
 *    the most: such a process uses what it unmaps a part of;
 *  - twice, when a good part of what was empty or freed was soon in use again.
 *    That is forgotten bit by bit, when it has not happened for a minute and for
 *    four laps.  When the delay is longer than the program leaves its tables
 *    empty, none is found empty twice any more, and none is freed.
 *
 * Context: Process context, by who does the piece for @mm.
 */
void freept_lap_end(struct mm_struct *mm)
{
	struct freept_mm *fm = &mm->freept;
	unsigned long reused = fm->lap_reused + READ_ONCE(fm->nr_refaults);

	if (reused > 8 && reused > (fm->lap_empty + fm->last_freed) / 4) {
		fm->harm = min(fm->harm + 2, FREEPT_HARM_MAX);
		fm->harm_since = jiffies;
	} else if (fm->harm && time_after(jiffies, fm->harm_since +
					  max(60UL * HZ, 4 * freept_lap_delay(mm)))) {
		fm->harm--;
		fm->harm_since = jiffies;
	}
	if (fm->lap_empty < fm->lap_scanned / 16)
		fm->idle = min(fm->idle + 1, FREEPT_IDLE_MAX);
	else
		fm->idle = 0;

	if (fm->lap_freed)
		fm->last_freed = fm->lap_freed;
	fm->lap_scanned = 0;
	fm->lap_empty = 0;
	fm->lap_reused = 0;
	fm->lap_freed = 0;
	WRITE_ONCE(fm->nr_refaults, 0);
	/* settings that have changed meanwhile, and lost hints, void it */
	cmpxchg(&fm->hinted, FREEPT_LAP, fm->lap);
}

/**
 * freept_lap_begin - a new lap begins
 * @mm: the mm
 *
 * What is removed from now on is for the next one.
 *
 * Context: Process context, by who does the piece for @mm.
 * Return: false if there is nothing to do, as no entry was removed since the last
 * one.
 */
bool freept_lap_begin(struct mm_struct *mm)
{
	struct freept_mm *fm = &mm->freept;

	fm->lap = READ_ONCE(freept_generation);
	if (READ_ONCE(fm->hinted) != fm->lap) {
		WRITE_ONCE(fm->hinted, FREEPT_LAP);
		WRITE_ONCE(fm->marked, false);
		return true;
	}
	if (!READ_ONCE(fm->marked))
		return false;
	WRITE_ONCE(fm->marked, false);
	smp_mb();	/* pairs with freept_pmd_mark() */
	return true;
}
