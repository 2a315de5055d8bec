-- says: error raised with a nil
error()
