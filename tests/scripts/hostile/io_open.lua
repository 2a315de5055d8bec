-- says: 'io' is not available
return io.open('/etc/passwd'):read 'a'
