/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A word of a line: what is said between a daemon and its commands, and what commands print,
 * has its words apart by spaces. As proc(5) has it in mountinfo, what would tear one apart is
 * a backslash and three octal digits: a space \040, a backslash \134. No state, no locks.
 */
#ifndef DATAFS_WORD_H
#define DATAFS_WORD_H

#include <stddef.h>
#include <stdio.h>

/* @text so that it is one word of one line: spaces, control characters and backslashes. */
void datafs_word_put(FILE *f, const void *text, size_t len);
void datafs_word_puts(FILE *f, const char *text);

/* The reverse, in place. What is no such number stays as it is. */
void datafs_word_take(char *word);

#endif
