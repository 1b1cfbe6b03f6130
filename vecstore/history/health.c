/* health.c: how a boot was, in figures, and what is unusual about it: against median and median deviation, which one odd boot doesn't move. */
#include <math.h>

#include <fcntl.h>

#include "base/file.h"
#include "vecstore/history/private.h"

#define LAST 50u
#define ENOUGH 5u /* boots, to call anything usual */

static const struct figure {
	const char *name, *unit;
	size_t at;
	double least; /* differences below this are nothing, whatever the spread */
} figures[HEALTH_FIGURES] = {
	{"up", "s", offsetof(struct health, up_s), 2}, {"settled", "s", offsetof(struct health, settled_s), 5}, {"kernel", "s", offsetof(struct health, kernel_s), 1},
	{"memory", "MB", offsetof(struct health, memory_mb), 32}, {"restarts", "", offsetof(struct health, restarts), 1}, {"failed", "services", offsetof(struct health, failed), 1},
	{"cpu-pressure", "%", offsetof(struct health, psi_cpu), 10}, {"memory-pressure", "%", offsetof(struct health, psi_memory), 2},
	{"io-pressure", "%", offsetof(struct health, psi_io), 10}, {"services", "", offsetof(struct health, services), 1},
};

double health_figure(const struct health *h, unsigned i)
{
	return *(const double *)(const void *)((const char *)h + figures[i].at);
}

const char *health_name(unsigned i)
{
	return figures[i].name;
}

struct past { double x[HEALTH_FIGURES][LAST]; unsigned n; };

static int add_boot(const struct outcome *o, void *data)
{
	struct past *p = data;

	if (o->result != LEDGER_RESULT_GOOD || !o->has_health)
		return 0;
	for (unsigned i = 0; i < HEALTH_FIGURES; i++)
		p->x[i][p->n] = health_figure(&o->health, i);
	return ++p->n == LAST;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *x, unsigned n)
{
	qsort(x, n, sizeof(*x), ascending);
	return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Known figures of the past; returns how many. */
static unsigned known(const struct past *p, unsigned i, double *x)
{
	unsigned n = 0;

	for (unsigned k = 0; k < p->n; k++)
		if (p->x[i][k] >= 0)
			x[n++] = p->x[i][k];
	return n;
}

int health_unusual(struct history *h, const struct health *now, char *buf, size_t size, struct err *e)
{
	struct past p = {0};
	size_t at = 0;
	int found = 0, r = history_outcomes(h, 0, add_boot, &p, e);

	*buf = '\0';
	for (unsigned i = 0; r >= 0 && i < HEALTH_FIGURES; i++) {
		double x[LAST], dev[LAST], is = health_figure(now, i);
		unsigned n = known(&p, i, x);
		if (is < 0 || n < ENOUGH)
			continue;
		double m = median(x, n);
		for (unsigned k = 0; k < n; k++)
			dev[k] = fabs(x[k] - m);
		double spread = 1.4826 * median(dev, n); /* of a normal distribution: its standard deviation */
		if (fabs(is - m) <= MAX(4 * spread, figures[i].least))
			continue;
		found++;
		int w = snprintf(buf + at, size - at, "%s%s: %.1f%s%s, usually %.1f (%.1f to %.1f)", at ? "; " : "", figures[i].name, is, *figures[i].unit ? " " : "", figures[i].unit, m, x[0], x[n - 1]);
		at = MIN(at + (size_t)w, size - 1);
	}
	return r < 0 ? r : found;
}

/* "some avg300=0.12": proc(5) of pressure stall information, Documentation/accounting/psi.rst. */
static double pressure(const char *what)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	double avg = -1;

	snprintf(path, sizeof(path), "/proc/pressure/%s", what);
	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return -1;
	const char *at = strstr(text, "avg60=");
	return at && sscanf(at, "avg60=%lf", &avg) == 1 ? avg : -1;
}

static double memory_used(void)
{
	_cleanup_free_ char *text = NULL;
	double total, available;

	if (file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, NULL) < 0)
		return -1;
	const char *t = strstr(text, "MemTotal:"), *a = strstr(text, "MemAvailable:");
	if (!t || !a || sscanf(t, "MemTotal: %lf", &total) != 1 || sscanf(a, "MemAvailable: %lf", &available) != 1)
		return -1;
	return (total - available) / 1024;
}

void health_measure(struct health *ret)
{
	*ret = (struct health){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
	ret->psi_cpu = pressure("cpu");
	ret->psi_memory = pressure("memory");
	ret->psi_io = pressure("io");
	ret->memory_mb = memory_used();
}
