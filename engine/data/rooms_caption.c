/* Captions: what is visible, said in a fixed vocabulary. */
#include "data/rooms_scene.h"

int sak_rooms_vocabulary(void) { return 1; }
const char *sak_rooms_word(int id) { (void)id; return ""; }
void sak_rooms_caption(const rooms_scene *s, sak_sample *out) { (void)s; (void)out; }
