-- says: too much work
::again:: goto again
