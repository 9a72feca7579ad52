"""A running service, from outside: started (`serve`), read (`scrape`), watched, put under load, diagnosed, verified."""
