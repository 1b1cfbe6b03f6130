/* name.h: what images are called: [HOST[:PORT]/]PATH[:TAG][@DIGEST], as the distribution specification has it ("Pulling manifests").
 *
 * The first component is a host when it has a dot or a colon in it, or is "localhost". */
#ifndef RAST_IMAGE_NAME_H
#define RAST_IMAGE_NAME_H

#include "runtime/image/digest.h"

#define IMAGE_NAME_MAX 220 /* bytes; as the name of a file each '/' takes three */
#define IMAGE_TAG_MAX 128

struct image_name {
	char host[128];              /* with the port; "": none was given */
	char path[IMAGE_NAME_MAX + 1];
	char tag[IMAGE_TAG_MAX + 1]; /* "latest" when neither a tag nor a digest was given; may be "" beside a digest */
	struct digest digest;
};

/* -EINVAL with the reason in e. */
int image_name_parse(const char *s, struct image_name *ret, struct err *e);
/* HOST/PATH:TAG, or HOST/PATH@DIGEST where there is a digest: the name in the store. Heap memory; NULL: none left. */
char *image_name_text(const struct image_name *n);
/* The same as the name of a file, and back. -ENAMETOOLONG, -ENOMEM, -EINVAL. */
int image_name_to_file(const char *name, char **ret);
int image_name_from_file(const char *file, char **ret);

#endif
