/* netdev.c: see netdev.h; rtnetlink(7). */
#include "runtime/net/netdev.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "base/mem.h"
#include "base/str.h"

/* A message in a buffer of fixed size: what does not fit is refused, never wrapped (CVE-2021-43784). */
struct message {
	union {
		struct nlmsghdr h;
		char bytes[512];
	};
};

static int add_attr(struct message *m, unsigned short type, const void *data, size_t n)
{
	size_t at = NLMSG_ALIGN(m->h.nlmsg_len);
	struct rtattr *a = (struct rtattr *)(m->bytes + at);

	if (n > sizeof(m->bytes) || at + RTA_SPACE(n) > sizeof(m->bytes))
		return -EMSGSIZE;
	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), data, n);
	m->h.nlmsg_len = (uint32_t)(at + RTA_SPACE(n));
	return 0;
}

static int open_route(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return fd < 0 ? -errno : fd;
}

/* Send one request with NLM_F_ACK and read its answer. */
static int request(int fd, const struct nlmsghdr *h)
{
	union {
		struct nlmsghdr h;
		char bytes[1024];
	} answer;
	ssize_t n;

	if (send(fd, h, h->nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(fd, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || answer.h.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return ((struct nlmsgerr *)NLMSG_DATA(&answer.h))->error;
}

/* --- the parent --- */

/* Only what somebody configured moves: link-local ones come by themselves, temporary ones end. */
static bool wanted(const struct nlmsghdr *h, unsigned index)
{
	const struct ifaddrmsg *a = NLMSG_DATA(h);

	return h->nlmsg_type == RTM_NEWADDR && a->ifa_index == index && a->ifa_scope == RT_SCOPE_UNIVERSE && a->ifa_flags & IFA_F_PERMANENT;
}

/* The message that adds the address again: address, local, broadcast, label's place is the interface's. */
static int note_address(struct netdev *d, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *old = NLMSG_DATA(h);
	struct message m = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof(*old)), .nlmsg_type = RTM_NEWADDR,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE } };
	struct ifaddrmsg *a = NLMSG_DATA(&m.h);
	int len = (int)IFA_PAYLOAD(h), r = 0;
	char *grown;

	*a = *old;
	a->ifa_flags = 0;
	for (const struct rtattr *t = IFA_RTA(old); RTA_OK(t, len); t = RTA_NEXT(t, len))
		if (t->rta_type == IFA_ADDRESS || t->rta_type == IFA_LOCAL || t->rta_type == IFA_BROADCAST)
			r = r < 0 ? r : add_attr(&m, t->rta_type, RTA_DATA(t), RTA_PAYLOAD(t));
	if (r < 0)
		return r;
	size_t n = NLMSG_ALIGN(m.h.nlmsg_len);
	grown = realloc(d->addresses, d->len + n);
	if (!grown)
		return -ENOMEM;
	d->addresses = grown;
	memcpy(grown + d->len, &m, n);
	d->len += n;
	return 0;
}

static int note_addresses(int fd, struct netdev *d)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
	} q = { .h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	_cleanup_free_ char *buf = malloc(1u << 16);

	if (!buf)
		return -ENOMEM;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t got = recv(fd, buf, 1u << 16, 0);
		if (got < 0)
			return -errno;
		unsigned left = (unsigned)got;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			int r = wanted(h, d->index) ? note_address(d, h) : 0;
			if (r < 0)
				return r;
		}
	}
}

int netdev_plan_make(const struct oci_spec *spec, struct netdev_plan *ret, struct err *e)
{
	*ret = (struct netdev_plan){ 0 };
	if (!spec->n_net_devices)
		return 0;
	if (!spec->ns[OCI_NS_NETWORK].listed)
		return err_set(e, -EINVAL, "linux.netDevices: the container needs a network namespace of its own; add {\"type\": \"network\"}");
	ret->v = calloc(spec->n_net_devices, sizeof(*ret->v));
	_cleanup_close_ int fd = open_route();
	if (!ret->v || fd < 0)
		return err_sys(e, fd < 0 ? fd : -ENOMEM, "linux.netDevices");
	for (size_t i = 0; i < spec->n_net_devices; i++) {
		const struct oci_netdev *s = &spec->net_devices[i];
		struct netdev *d = &ret->v[ret->n++];
		d->host = s->host;
		if (strlen(s->name) >= sizeof(d->name))
			return err_set(e, -EINVAL, "linux.netDevices: the name '%s' is too long (15 characters)", s->name);
		snprintf(d->name, sizeof(d->name), "%s", s->name);
		d->index = if_nametoindex(s->host);
		if (!d->index)
			return err_sys(e, -ENODEV, "linux.netDevices: interface '%s'", s->host);
		int r = note_addresses(fd, d);
		if (r < 0)
			return err_sys(e, r, "linux.netDevices: the addresses of '%s'", s->host);
	}
	return 0;
}

void netdev_plan_free(struct netdev_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].addresses);
	free(p->v);
	*p = (struct netdev_plan){ 0 };
}

static struct message link_message(unsigned index)
{
	struct message m = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct ifinfomsg *i = NLMSG_DATA(&m.h);

	i->ifi_family = AF_UNSPEC;
	i->ifi_index = (int)index;
	return m;
}

int netdev_move(const struct netdev_plan *p, pid_t pid, struct err *e)
{
	uint32_t their_pid = (uint32_t)pid;

	if (!p->n)
		return 0;
	_cleanup_close_ int fd = open_route();
	if (fd < 0)
		return err_sys(e, fd, "linux.netDevices");
	for (size_t i = 0; i < p->n; i++) {
		const struct netdev *d = &p->v[i];
		struct message m = link_message(d->index);
		int r = add_attr(&m, IFLA_NET_NS_PID, &their_pid, sizeof(their_pid));
		if (r == 0)
			r = add_attr(&m, IFLA_IFNAME, d->name, strlen(d->name) + 1);
		if (r == 0)
			r = request(fd, &m.h);
		if (r < 0)
			return err_sys(e, r, "linux.netDevices: moving '%s' into the container as '%s'", d->host, d->name);
	}
	return 0;
}

/* --- the child --- */

/* An interface keeps its number where it is free; its name then says whether it is the one. */
static unsigned index_now(const struct netdev *d)
{
	unsigned index = strchr(d->name, '%') ? 0 : if_nametoindex(d->name);

	return index ? index : d->index;
}

static int set_up(int fd, unsigned index)
{
	struct message m = link_message(index);
	struct ifinfomsg *i = NLMSG_DATA(&m.h);

	i->ifi_flags = IFF_UP;
	i->ifi_change = IFF_UP;
	return request(fd, &m.h);
}

int netdev_configure(const struct netdev_plan *p, struct err *e)
{
	if (!p->n)
		return 0;
	_cleanup_close_ int fd = open_route();
	if (fd < 0)
		return err_sys(e, fd, "linux.netDevices");
	for (size_t i = 0; i < p->n; i++) {
		const struct netdev *d = &p->v[i];
		unsigned index = index_now(d);
		int r = 0;
		for (size_t at = 0; r == 0 && at < d->len;) {
			struct nlmsghdr *h = (struct nlmsghdr *)(d->addresses + at);
			((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index = index;
			r = request(fd, h);
			at += NLMSG_ALIGN(h->nlmsg_len);
		}
		if (r == 0)
			r = set_up(fd, index);
		if (r < 0)
			return err_sys(e, r, "linux.netDevices: setting up '%s'", d->name);
	}
	return 0;
}
