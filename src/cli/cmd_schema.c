/* xo-hooks schema: the JSON Schema of the configuration. */
#include "cli/command.h"
#include "hooks/hooks.h"

static int run(int argc, char **argv)
{
  if (argc > 1)
    return xh_usage_error(&xh_cmd_schema, "unexpected argument: %s", argv[1]);
  return fputs(xh_hooks_schema(), stdout) < 0 ? XH_EXIT_FAILED : XH_EXIT_OK;
}

const xh_command xh_cmd_schema = {
    .name = "schema",
    .summary = "print the JSON Schema of the configuration",
    .help = "Usage: xo-hooks schema\n"
            "\n"
            "Prints the JSON Schema (draft-07) of hooks.json, for editors and forms.\n"
            "\n"
            "Example:\n"
            "  xo-hooks schema > hooks.schema.json\n",
    .run = run,
};
