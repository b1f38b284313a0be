/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with the world of a program, and how long the under-stores bear it: in front
 * of the clock, of names of hosts and of libcurl's time-outs. Nothing is, until it is said.
 */
#ifndef DATAFS_TEST_UNDER_TROUBLE_H
#define DATAFS_TEST_UNDER_TROUBLE_H

/*
 * "NAME=N"; ends the program if it is wrong. Before a store is opened.
 *
 *	naps=N		waits for another sending are N times as short
 *	stall=N		seconds in which nothing moves on a connection
 *	deadline=N	milliseconds for one sending
 *	connect=N	milliseconds for a connection
 *	skew=N		seconds by which the clock is wrong, for signatures and certificates
 *	lookups=N	so many look-ups of a host's name fail; later ones find 127.0.0.1
 */
void trouble(char *text);

#endif
