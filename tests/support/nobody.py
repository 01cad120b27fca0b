"""An installation in which nobody but the holder of the admin token is known."""

from farthing.core.errors import NotFoundError


class Nobody:
    """Stands where people and logins are asked for."""

    def recognize(self, token):
        return None

    service = recognize

    def with_password(self, email, password):
        return None

    def list(self):
        return ()

    def get(self, id):
        raise NotFoundError("person", id)

    def sessions(self, id):
        raise NotFoundError("person", id)

    def end(self, token):
        return None

    def note(self, change, action, subject, **states):
        return None
