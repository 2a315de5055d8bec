/* Lua values <-> canonical JSON: sorted keys, no blanks, numbers in their shortest exact form. */
#ifndef SAK_BIND_JSON_H
#define SAK_BIND_JSON_H

#include <lua.h>

/* Both take their argument at index 1 and return one result, or raise a message that names the
 * place inside the value.
 *
 * encode: integers stay integers, floats always carry a '.' or an exponent; a table with keys 1…n
 * or marked by array is an array, any other (the empty one too) an object with string keys;
 * json.null is null.  NaN, infinities, cycles, functions and other types are errors, so is text
 * that is not UTF-8.
 * decode: the reverse; arrays come back marked. */
int sak_json_encode(lua_State *L);
int sak_json_decode(lua_State *L);

int sak_json_array(lua_State *L); /* array(t): marks t as an array, returns it */

#endif
