-- says: 'os' is not available
return os.getenv 'HOME'
