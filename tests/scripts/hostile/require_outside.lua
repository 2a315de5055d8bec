-- says: require takes a module's name
return require '../../../etc/passwd'
