/* The entry of sak-f64, the engine built in double: it holds itself against dumps and does nothing
 * else, since data, meters and weight files are float. */
#include <string.h>

#include "cli/verbs.h"

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "verify") != 0)
        return sak_usage("everything else is done by `sak`",
                         "sak-f64 is what `sak verify --cross f64` runs");
    return sak_cli(argc, argv);
}
