/* `rooms`: procedural indoor scenes with exact labels; nothing is read from disk.  Image i depends
 * on (seed, first + i) only; the scene itself does not depend on the image size.
 *
 * Materials (colour, pattern, gloss) are drawn from one distribution for every class, so colour
 * alone says nothing about the class; shape, position and context do.
 *
 * Edge: a pixel is 1 when a 4-neighbour has another class or instance and is not nearer.
 * Saliency: the people, when one covers at least 0.4% of the image; else the object with the
 * largest area x centrality, and up to two more that come within 60% of it.  Room shell, windows,
 * doors and class 0 are never salient. Opened with sak_rooms_open, declared in dataset.h. */
#ifndef SAK_DATA_ROOMS_H
#define SAK_DATA_ROOMS_H

enum sak_rooms_class {
    SAK_ROOMS_OTHER, /* clutter: rugs, screens, balls, books, curtains … */
    SAK_ROOMS_WALL,
    SAK_ROOMS_FLOOR,
    SAK_ROOMS_CEILING,
    SAK_ROOMS_TABLE,
    SAK_ROOMS_CHAIR,
    SAK_ROOMS_SOFA,
    SAK_ROOMS_BED,
    SAK_ROOMS_CABINET,
    SAK_ROOMS_LAMP,
    SAK_ROOMS_PICTURE,
    SAK_ROOMS_WINDOW,
    SAK_ROOMS_DOOR,
    SAK_ROOMS_PERSON,
    SAK_ROOMS_BOX,
    SAK_ROOMS_PLANT,
    SAK_ROOMS_CLASSES
};

/* Human parts, as in PASCAL-Part merged to six; 0 = not a person. */
enum sak_rooms_part {
    SAK_ROOMS_NO_PART,
    SAK_ROOMS_HEAD,
    SAK_ROOMS_TORSO,
    SAK_ROOMS_UPPER_ARM,
    SAK_ROOMS_LOWER_ARM,
    SAK_ROOMS_UPPER_LEG,
    SAK_ROOMS_LOWER_LEG,
    SAK_ROOMS_PARTS
};

/* The word of a caption token, "" for 0 (padding) and for ids outside the vocabulary. */
const char *sak_rooms_word(int id);

#endif
