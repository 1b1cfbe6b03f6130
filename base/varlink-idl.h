/* varlink-idl.h: interface descriptions (varlink.org, Interface Definition) parsed, and parameters checked against them. */
#ifndef RAST_BASE_VARLINK_IDL_H
#define RAST_BASE_VARLINK_IDL_H

#include <jansson.h>
#include "base/err.h"

#define IDL_PATH_MAX 128

enum idl_kind { IDL_BOOL, IDL_INT, IDL_FLOAT, IDL_STRING, IDL_OBJECT, IDL_ANY, IDL_NAMED, IDL_ENUM, IDL_STRUCT, IDL_ARRAY, IDL_DICT, IDL_MAYBE };
enum idl_member_kind { IDL_TYPE, IDL_METHOD, IDL_ERROR };

struct idl_field;
struct idl_member;
struct idl_type {
	enum idl_kind kind;
	union {
		const struct idl_type *element;    /* ARRAY, DICT, MAYBE */
		const struct idl_field *fields;    /* STRUCT, ENUM */
		struct {                           /* NAMED */
			const char *name;
			const struct idl_member *member;
		} named;
	};
};

struct idl_field {
	struct idl_field *next;
	const char *name;
	const struct idl_type *type; /* NULL in an enum */
};

struct idl_member {
	struct idl_member *next;
	enum idl_member_kind kind;
	const char *name;
	const struct idl_type *in, *out; /* out for methods only; in is NULL for an error without parameters */
};

struct idl; /* owns all of the above in one arena */

/* -EBADMSG with "line N: ..." in e when the text is no interface description. */
int idl_parse(const char *text, struct idl **ret, struct err *e);
void idl_free(struct idl *idl);
void idl_freep(struct idl **idl);
const char *idl_name(const struct idl *idl); /* of the interface */
const struct idl_member *idl_find(const struct idl *idl, enum idl_member_kind kind, const char *name); /* or NULL */

/* 0, or -EINVAL and in path the first parameter ("service", "limits.memory") that is unknown, missing or of the wrong type. */
int idl_check(const struct idl_type *type, json_t *params, char path[IDL_PATH_MAX]);

#endif
