/* varlink-service.c: org.varlink.service, which every server answers (varlink.org, Service). */
#include "base/varlink-server.h"

static const char description[] =
	"# The Varlink Service Interface is provided by every varlink service. It\n"
	"# describes the service and the interfaces it implements.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Get a list of all the interfaces a service provides and information\n"
	"# about the implementation.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# Get the description of an interface that is implemented by this service.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# The requested interface was not found.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The requested method was not found\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The interface defines the requested method, but the service does not\n"
	"# implement it.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# One of the passed parameters is invalid.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# Client is denied access\n"
	"error PermissionDenied ()\n"
	"\n"
	"# Method is expected to be called with 'more' set to true, but wasn't\n"
	"error ExpectedMore ()\n";

static int get_info(struct varlink_call *call, json_t *params, void *data)
{
	const struct varlink_server *s = data;
	json_t *names = json_array();

	json_array_append_new(names, json_string(varlink_service_interface.name));
	for (size_t i = 0; i + 1 < s->n_ifaces; i++)
		json_array_append_new(names, json_string(s->ifaces[i].def->name));
	return varlink_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", "rastOS", "product", s->product, "version", s->version, "url",
					   "https://varlink.org/", "interfaces", names));
}

static int get_interface_description(struct varlink_call *call, json_t *params, void *data)
{
	const struct varlink_server *s = data;
	json_t *name = json_object_get(params, "interface");

	for (size_t i = 0; i < s->n_ifaces; i++)
		if (streq(s->ifaces[i].def->name, json_string_value(name)))
			return varlink_reply(call, json_pack("{s:s}", "description", s->ifaces[i].def->description));
	return varlink_error(call, "org.varlink.service.InterfaceNotFound", json_pack("{s:O}", "interface", name));
}

static const struct varlink_method_entry methods[] = {
	{ "GetInfo", get_info, false },
	{ "GetInterfaceDescription", get_interface_description, false },
};

const struct varlink_interface varlink_service_interface = { "org.varlink.service", description, methods, ARRAY_SIZE(methods) };
