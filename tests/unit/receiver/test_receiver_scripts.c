/* Which scripts an event runs. */
#include "base/err.h"
#include "receiver/scripts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/xo-hooks-scripts-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static void put(const char *name, mode_t mode)
{
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (mode == 0) {
    assert_int_equal(mkdir(path, 0755), 0);
    return;
  }
  int fd = open(path, O_CREAT | O_WRONLY, mode);
  assert_true(fd >= 0);
  close(fd);
}

static void finds(const char *method, xh_event_type type, int rc, const char *expected)
{
  xh_scripts scripts;
  char joined[512] = "";
  assert_int_equal(xh_scripts_find(folder, xh_str_z(method), type, &scripts), rc);
  for (size_t i = 0; i < scripts.count; i++)
    snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i ? " " : "", scripts.names[i]);
  assert_string_equal(joined, expected);
  xh_scripts_done(&scripts);
}

static void sh_first_then_any_ending_then_the_folder_then_default(void **state)
{
  (void)state;
  finds("vm.start", XH_POST, 0, "");
  put("default-post.py", 0755);
  finds("vm.start", XH_POST, 0, "default-post.py");
  finds("vm.start", XH_PRE, 0, "");
  put("vm.start-post.d", 0);
  finds("vm.start", XH_POST, 0, "default-post.py");
  put("vm.start-post.d/02-cmdb", 0755);
  put("vm.start-post.d/01-dhcp", 0755);
  put("vm.start-post.d/10-last.sh", 0755);
  put("vm.start-post.d/03-off", 0644);
  put("vm.start-post.d/01-dhcp~", 0755);
  put("vm.start-post.d/.hidden", 0755);
  put("vm.start-post.d/02-cmdb.dpkg-old", 0755);
  put("vm.start-post.d/02-cmdb.orig", 0755);
  finds("vm.start", XH_POST, 0, "vm.start-post.d/01-dhcp vm.start-post.d/02-cmdb vm.start-post.d/10-last.sh");
  put("vm.start-post.py.bak", 0755);
  put("vm.start-post.py~", 0755);
  put("vm.start-post.bak", 0755);
  put("vm.start-post.disabled", 0644);
  put("vm.start-poster", 0755);
  finds("vm.start", XH_POST, 0, "vm.start-post.d/01-dhcp vm.start-post.d/02-cmdb vm.start-post.d/10-last.sh");
  put("vm.start-post.rb", 0755);
  put("vm.start-post.py", 0755);
  finds("vm.start", XH_POST, 0, "vm.start-post.py");
  put("vm.start-post", 0755);
  finds("vm.start", XH_POST, 0, "vm.start-post");
  put("vm.start-post.sh", 0755);
  finds("vm.start", XH_POST, 0, "vm.start-post.sh");
}

static void barred(const char *method, const char *fault)
{
  xh_scripts scripts;
  assert_int_equal(xh_scripts_find(folder, xh_str_z(method), XH_PRE, &scripts), XH_EDENIED);
  if (!strstr(scripts.fault, fault))
    fail_msg("%s: %s", method, scripts.fault);
  xh_scripts_done(&scripts);
}

static void link_nowhere(const char *name)
{
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(symlink("/nonexistent", path), 0);
}

static void one_that_cannot_run_is_a_fault(void **state)
{
  (void)state;
  put("default-pre.sh", 0755);
  put("host.stop-pre.sh", 0644);
  barred("host.stop", "host.stop-pre.sh is not executable");
  link_nowhere("host.start-pre.sh");
  barred("host.start", "host.start-pre.sh is a symbolic link that leads nowhere");
  link_nowhere("host.scan-pre.d");
  barred("host.scan", "host.scan-pre.d is a symbolic link that leads nowhere");
  put("host.reboot-pre.sh", 0);
  barred("host.reboot", "host.reboot-pre.sh is a folder");
  put("host.reboot-pre.py", 0755);
  finds("host.reboot", XH_PRE, 0, "host.reboot-pre.py");
  put("host.set-pre.data", 0);
  link_nowhere("host.set-pre.bak");
  finds("host.set", XH_PRE, 0, "default-pre.sh");
}

static void a_method_is_never_a_path(void **state)
{
  (void)state;
  xh_scripts scripts;
  put("inner", 0);
  put("inner/x-pre.sh", 0755);
  finds("inner/x", XH_PRE, XH_EINVAL, "");
  finds("..", XH_PRE, 0, "");
  finds("../x", XH_PRE, XH_EINVAL, "");
  assert_int_equal(xh_scripts_find("/nonexistent-folder", XH_STR("a"), XH_PRE, &scripts), XH_ENOENT);
  assert_string_equal(scripts.fault, "the folder of scripts /nonexistent-folder can't be opened: No such file or directory");
  xh_scripts_done(&scripts);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(sh_first_then_any_ending_then_the_folder_then_default, make_folder, drop_folder),
      cmocka_unit_test_setup_teardown(one_that_cannot_run_is_a_fault, make_folder, drop_folder),
      cmocka_unit_test_setup_teardown(a_method_is_never_a_path, make_folder, drop_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
