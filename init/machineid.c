/* machineid.c: see machineid.h */
#include "init/machineid.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define ETC "/etc/machine-id"
#define RUN "/run/machine-id"

bool machineid_valid(const char *text, size_t n)
{
	bool zero = true;

	if (n == 33 && text[32] == '\n')
		n = 32;
	if (n != 32)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
			return false;
		zero = zero && text[i] == '0';
	}
	return !zero;
}

/* The 32 digits of a UUID written with dashes. */
static bool digits_of(const char *uuid, char id[34])
{
	size_t n = 0;

	for (; *uuid && n < 32; uuid++)
		if (isxdigit((unsigned char)*uuid))
			id[n++] = (char)tolower((unsigned char)*uuid);
	id[n] = '\n';
	id[n + 1] = '\0';
	return machineid_valid(id, n + 1);
}

/* A virtual machine's UUID is its hypervisor's word for "the same machine"; those in the firmware of real ones are too often not unique. */
static bool from_hypervisor(char id[34])
{
	_cleanup_free_ char *vendor = NULL, *uuid = NULL;

	return file_read(AT_FDCWD, "/sys/class/dmi/id/sys_vendor", 256, &vendor, NULL) == 0 && str_starts(vendor, "QEMU") &&
	       file_read(AT_FDCWD, "/sys/class/dmi/id/product_uuid", 256, &uuid, NULL) == 0 && digits_of(uuid, id);
}

static void make_id(char id[34])
{
	const char *given = getenv("container_uuid");
	uint64_t r[2] = {0};

	if ((given && digits_of(given, id)) || from_hypervisor(id))
		return;
	if (getrandom(r, sizeof(r), GRND_INSECURE) != sizeof(r))
		log_warning("getrandom: %s: the machine id is not random", strerror(errno));
	r[0] = (r[0] & 0xffffffffffff0fffull) | 0x4000;              /* as a version 4 UUID, RFC 4122 4.4 */
	r[1] = (r[1] & 0x3fffffffffffffffull) | 0x8000000000000000ull;
	snprintf(id, 34, "%016llx%016llx\n", (unsigned long long)r[0], (unsigned long long)r[1]);
}

void machineid_setup(void)
{
	_cleanup_free_ char *text = NULL;
	char id[34];
	size_t n = 0;

	if (file_read(AT_FDCWD, ETC, 256, &text, &n) == 0 && machineid_valid(text, n))
		return;
	make_id(id);
	if (file_replace(AT_FDCWD, ETC, id, 33, 0444) == 0)
		return;
	_cleanup_close_ int fd = open(RUN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	if (fd < 0 || write_all(fd, id, 33) < 0 || mount(RUN, ETC, NULL, MS_BIND, NULL) < 0)
		log_warning("this machine has no id: " ETC " can't be written, nor covered by " RUN ": %s", strerror(errno));
	else
		log_notice(ETC " can't be written: this boot uses a machine id of its own, " RUN);
}
