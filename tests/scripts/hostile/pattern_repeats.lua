-- says: could take too long
return ('a'):rep(60):find(('.-'):rep(12) .. 'b')
