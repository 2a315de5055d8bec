/* The kinds of object that sak_rooms_furnish chooses from, and what they share. */
#ifndef SAK_DATA_ROOMS_FURNITURE_H
#define SAK_DATA_ROOMS_FURNITURE_H

#include "data/rooms_scene.h"

/* --- rooms_fixtures.c; the object's frame is open, its footprint is set --- */
void sak_rooms_lamp(rooms_builder *b, rooms_dims k, int variant);
void sak_rooms_plant(rooms_builder *b, rooms_dims k);
void sak_rooms_carton(rooms_builder *b, rooms_dims k, rooms_object *o);
void sak_rooms_picture(rooms_builder *b, rooms_dims k);
void sak_rooms_window(rooms_builder *b, rooms_dims k);
void sak_rooms_door(rooms_builder *b, rooms_dims k);
void sak_rooms_clutter(rooms_builder *b, rooms_dims k, int variant);

#endif
