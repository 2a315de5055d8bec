-- says: 'os' is not available
os.execute 'touch owned'
