/* process.json of `exec`, and the resources of `update`: any bytes give what their headers promise, or an error that begins with the file. */
#include "runtime/spec/spec.h"

#include <errno.h>
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

static void check_process(const struct oci_process *p)
{
	MUST(p->args.n > 0 && *p->args.v[0] && !p->args.v[p->args.n] && !p->env.v[p->env.n] && *p->cwd == '/');
	MUST(!(p->caps.effective & ~p->caps.permitted) && !(p->caps.ambient & ~(p->caps.permitted & p->caps.inheritable)));
	for (size_t i = 0; i < p->n_rlimits; i++)
		MUST(p->rlimits[i].soft <= p->rlimits[i].hard);
	for (size_t i = 0; i < p->env.n; i++)
		MUST(strchr(p->env.v[i], '=') > p->env.v[i]);
	for (const struct oci_bits *b = &p->exec_affinity_initial; b <= &p->exec_affinity_final; b++)
		MUST(!b->bits || (b->n_bits > 0 && b->n_bytes * 8 >= b->n_bits && (b->bits[(b->n_bits - 1) / 64] >> (b->n_bits - 1) % 64) == 1));
}

static void check_resources(const struct oci_resources *r)
{
	for (size_t i = 0; i < r->n_devices; i++)
		MUST(strchr("abc", r->devices[i].type) && r->devices[i].access >= 1 && r->devices[i].access <= 7 && r->devices[i].major >= -1);
	for (size_t i = 0; i < r->unified.n; i++)
		MUST(!strchr(r->unified.v[i].key, '/') && strchr(r->unified.v[i].key, '.') && !streq(r->unified.v[i].key, "cgroup.procs"));
	MUST(!r->memory_limit.set || r->memory_limit.v >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct oci_load how = { .file = "f" };
	_cleanup_err_ struct err e = { 0 }, f = { 0 };
	struct oci_process *p = NULL;
	struct oci_resources *res = NULL;
	int r = oci_process_parse((const char *)data, size, &how, &p, &e);

	MUST(r == 0 || ((r == -EINVAL || r == -EBADMSG) && str_starts(err_text(&e), "f:") && !p));
	if (p)
		check_process(p);
	oci_process_free(p);
	r = oci_resources_parse((const char *)data, size, &how, &res, &f);
	MUST(r == 0 || ((r == -EINVAL || r == -EBADMSG) && str_starts(err_text(&f), "f:") && !res));
	if (res)
		check_resources(res);
	oci_resources_free(res);
	return 0;
}
