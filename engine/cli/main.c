/* The program's entry. */
#include "cli/verbs.h"

int main(int argc, char **argv)
{
    return sak_cli(argc, argv);
}
