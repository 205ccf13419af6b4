#include <stdio.h>
int main(void)
{
  puts("xo-hooks");
  return 0;
}
