-- says: 10000 MB of text
return ('x'):rep(10e9)
