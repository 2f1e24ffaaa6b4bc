/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __MM_FREEPT_DEBUG_H
#define __MM_FREEPT_DEBUG_H

#include <linux/pgtable.h>

/* Where somebody else may come in between: see mm/freept_debug.c */
enum freept_window {
	/* the look: the PMD entry is read, nothing of its table is */
	FREEPT_WINDOW_FOUND,
	/* the look: the mark is taken off, the entries are not read */
	FREEPT_WINDOW_UNMARKED,
	/* the look: the table was empty, the mark that says so is not set */
	FREEPT_WINDOW_EMPTY,
	/* the look is over, the lock of the PMD table is not taken */
	FREEPT_WINDOW_LOOKED,
	/* tables are unlinked, the TLB is not flushed; under the lock */
	FREEPT_WINDOW_UNLINKED,
	/* the lock is dropped, the tables are not handed to RCU */
	FREEPT_WINDOW_FLUSHED,
	/* who removed entries has found their table, and has not marked it */
	FREEPT_WINDOW_REMOVED,
	/* a walker has read a PMD entry, and has not locked the table */
	FREEPT_WINDOW_WALKER,
	NR_FREEPT_WINDOWS
};

#ifdef CONFIG_FREEPT_DEBUG
extern unsigned int freept_debug_delay_us;
void __freept_window(enum freept_window window, pmd_t *pmd, pmd_t seen);
void __freept_window_changed(enum freept_window window);

/**
 * freept_window - stay in a race window for a while, now and then
 * @window: which one
 * @pmd: the PMD entry that was read, or NULL
 * @seen: what was read there
 *
 * Context: Any but NMI.  Spinlocks may be held.
 */
static inline void freept_window(enum freept_window window, pmd_t *pmd, pmd_t seen)
{
	if (READ_ONCE(freept_debug_delay_us))
		__freept_window(window, pmd, seen);
}

/**
 * freept_window_changed - what was seen before a window is not so any more
 * @window: which one
 *
 * Context: Any but NMI.
 */
static inline void freept_window_changed(enum freept_window window)
{
	if (READ_ONCE(freept_debug_delay_us))
		__freept_window_changed(window);
}
#else
static inline void freept_window(enum freept_window window, pmd_t *pmd, pmd_t seen) { }
static inline void freept_window_changed(enum freept_window window) { }
#endif

#endif /* __MM_FREEPT_DEBUG_H */
