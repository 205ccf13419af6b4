/* Runs a fuzz target over files and folders, in place of libFuzzer's main(). Status 0 when all were read and none ended the program. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

#include <dirent.h>
#include <sys/stat.h>

enum { INPUT_CAP_BYTES = 16 * 1024 * 1024 };

static size_t count;

static int run_file(const char *path)
{
  xh_buf bytes;
  xh_buf_init(&bytes, INPUT_CAP_BYTES);
  int rc = xh_file_read(path, &bytes);
  if (rc) {
    fprintf(stderr, "%s: %s\n", path, xh_err_text(rc));
  } else {
    fprintf(stderr, "input %s\n", path); /* the last one named is the one that ended the program */
    LLVMFuzzerTestOneInput((const uint8_t *)xh_buf_span(&bytes).ptr, bytes.len);
    count++;
  }
  xh_buf_done(&bytes);
  return rc ? 1 : 0;
}

static int run_folder(const char *path)
{
  char name[4096];
  const struct dirent *entry;
  int status = 0;
  DIR *folder = opendir(path);
  if (!folder) {
    perror(path);
    return 1;
  }
  while ((entry = readdir(folder)) != NULL) {
    if (*entry->d_name == '.')
      continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    status |= run_file(name);
  }
  closedir(folder);
  return status;
}

int main(int argc, char **argv)
{
  int status = 0;
  LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
  for (int i = 1; i < argc; i++) {
    struct stat st;
    if (stat(argv[i], &st) != 0) {
      perror(argv[i]);
      status = 1;
    } else {
      status |= S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
    }
  }
  printf("%zu inputs\n", count);
  return count > 0 ? status : 1;
}
