-- says: could take too long
return ('a'):rep(3e7):match(('a'):rep(1e7) .. 'b')
