-- says: 'debug' is not available
return debug.getregistry()
