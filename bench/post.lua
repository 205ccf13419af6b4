-- For wrk: each request is an event, as the stock plugin sends it.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("EVENT")
