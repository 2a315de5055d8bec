-- says: could take too long
return ('a'):rep(3e7):find(('a'):rep(1e7) .. 'b', 1, true)
