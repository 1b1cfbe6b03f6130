/* linux.seccomp: any object gives a program that the kernel's checker would take, or an error. */
#include "runtime/seccomp/seccomp.h"

#include <errno.h>
#include "base/str.h"
#include "runtime/seccomp/priv.h"
#include "tests/fuzz/fuzz.h"

/* What bpf_check_classic() of the kernel asks for: jumps go forward and stay inside, the last instruction returns. */
static void check_program(const struct sock_fprog *p)
{
	MUST(p->len > 0 && p->len <= BPF_MAXINSNS && BPF_CLASS(p->filter[p->len - 1].code) == BPF_RET);
	for (unsigned i = 0; i < p->len; i++) {
		const struct sock_filter *f = &p->filter[i];
		if (BPF_CLASS(f->code) != BPF_JMP)
			continue;
		if (BPF_OP(f->code) == BPF_JA)
			MUST(f->k < p->len - i - 1);
		else
			MUST(i + 1U + f->jt < p->len && i + 1U + f->jf < p->len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"seccomp\":", tail[] = "}}";
	const struct oci_load how = { .file = "f" };
	_cleanup_err_ struct err e = { 0 };
	_cleanup_oci_spec_ struct oci_spec *s = NULL;
	_cleanup_buf_ struct buf text = { 0 };
	struct sock_fprog prog = { 0 };

	(void)buf_add(&text, head, sizeof(head) - 1);
	(void)buf_add(&text, data, size);
	(void)buf_add(&text, tail, sizeof(tail) - 1);
	if (size > 4096 || oci_spec_parse(text.data, text.len, &how, &s, &e) < 0 || !s->seccomp)
		return 0;
	int r = filter_compile(s->seccomp, &prog, &e);
	MUST(r == 0 || str_starts(err_text(&e), "linux.seccomp"));
	if (r == 0)
		check_program(&prog);
	free(prog.filter);
	return 0;
}
