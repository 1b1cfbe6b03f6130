/* bundle.h: an image's configuration as a runtime's config.json (OCI image-spec, conversion.md). */
#ifndef RAST_IMAGE_BUNDLE_H
#define RAST_IMAGE_BUNDLE_H

#include <jansson.h>
#include "runtime/image/image.h"

/* rootfd: the root that it is for, where users are looked up. config: the image's document. The object is owned by the caller. */
int bundle_config(int rootfd, const json_t *config, const struct image_container *o, json_t **ret, struct err *e);
/* The volumes that an image declares, absolute paths, without "..": NULL-terminated, owned by the caller (strv_free). */
int bundle_volumes(const json_t *config, char ***ret, struct err *e);
/* Add a bind mount to a config.json; both paths absolute. */
int bundle_add_bind(json_t *runtime, const char *source, const char *destination);

#endif
