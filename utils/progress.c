// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define BAR		20
#define SHOW_MS		200

static int64_t elapsed_ms(const struct datafs_progress *p)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - p->begun.tv_sec) * 1000 +
	       (now.tv_nsec - p->begun.tv_nsec) / 1000000;
}

/* Three digits and a unit. */
static const char *human(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t i = 0;

	for (; bytes >= 1000 && i + 1 < sizeof(units) / sizeof(*units); i++)
		bytes /= 1024;
	snprintf(buf, size, i && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[i]);
	return buf;
}

static double part(const struct datafs_progress *p)
{
	return !p->total || p->done >= p->total ? 1 : (double)p->done / p->total;
}

const char *datafs_progress_bar(const struct datafs_progress *p, int64_t ms, char *buf,
				size_t size)
{
	double rate = ms > 0 ? p->done * 1000.0 / ms : 0;
	char done[16], total[16], speed[16], left[32] = "-", bar[BAR + 1];
	uint64_t s;

	memset(bar, '.', BAR);
	memset(bar, '#', BAR * part(p));
	bar[BAR] = 0;
	if (rate > 0 && p->done < p->total && (p->total - p->done) / rate < 1e6) {
		s = (p->total - p->done) / rate;
		snprintf(left, sizeof(left), "%" PRIu64 ":%02u:%02u", s / 3600,
			 (unsigned int)(s / 60 % 60), (unsigned int)(s % 60));
	}
	snprintf(buf, size, "[%s] %3.0f%% %s of %s, %s/s, %s left", bar, 100 * part(p),
		 human(p->done, done, sizeof(done)), human(p->total, total, sizeof(total)),
		 human(rate, speed, sizeof(speed)), left);
	return buf;
}

void datafs_progress_begin(struct datafs_progress *p, FILE *f, uint64_t total)
{
	*p = (struct datafs_progress){
		.f = f, .terminal = isatty(fileno(f)), .total = total, .shown_ms = -SHOW_MS,
	};
	clock_gettime(CLOCK_MONOTONIC, &p->begun);
}

void datafs_progress_add(struct datafs_progress *p, uint64_t bytes)
{
	p->done += bytes;
}

void datafs_progress_show(struct datafs_progress *p)
{
	int64_t ms = elapsed_ms(p);
	char text[100];

	if (!p->terminal) {
		if (p->tenths >= (unsigned int)(10 * part(p)))
			return;
		p->tenths = 10 * part(p);
		fprintf(p->f, "%u%% %" PRIu64 " of %" PRIu64 "\n", 10 * p->tenths, p->done, p->total);
		fflush(p->f);
		return;
	}
	if (ms - p->shown_ms < SHOW_MS)
		return;
	p->shown_ms = ms;
	fprintf(p->f, "\r%s\033[K", datafs_progress_bar(p, ms, text, sizeof(text)));
	fflush(p->f);
}

void datafs_progress_end(struct datafs_progress *p)
{
	if (p->terminal)
		fputs("\r\033[K", p->f);
	fflush(p->f);
}
