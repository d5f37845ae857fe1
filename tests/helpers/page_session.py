"""One listener at the page of an experiment in Chromium, and the server behind it."""

from audiometamer.listening.rehearsal import address_of, start_server
from audiometamer.listening.store import Store


class PageSession:
    """A server with one listener's link, what the page asks it for, and what the page complains of."""

    def __init__(self, context, experiment, database, serve):
        self.context, self.experiment, self.database = context, experiment, database
        self.store = Store(database, experiment)
        self.link = f"#{self.store.enrol()}"
        self.server = start_server(experiment.folder, database, serve=serve)
        self.address = address_of(self.server)
        self.complaints, self.asked = [], []

    def open(self, script=""):
        """The page in a new window, with a script that runs before its own."""
        page = self.context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url.removeprefix(self.address)))
        page.add_init_script(script)
        page.goto(f"{self.address}/{self.link}")
        return page

    def close(self):
        self.server.kill()
        self.server.communicate()
        self.store.close()
