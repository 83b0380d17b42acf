"""Transfers a conversation over Baton's HTTP API, with Twilio's library for Python. See ../README.md."""

import os
import re
import time

from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

BATON, INSTANCE = os.environ["BATON"], os.environ["INSTANCE"]


class ToBaton(TwilioHttpClient):
    """Sends to Baton what the library sends to Twilio."""

    def request(self, method, url, *args, **kwargs):
        return super().request(method, re.sub(r"^https://[a-z.-]+\.twilio\.com", BATON, url), *args, **kwargs)


client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"], http_client=ToBaton())
workspace = client.taskrouter.v1.workspaces(os.environ["WORKSPACE"])

support = workspace.task_queues.list(friendly_name="support")[0]
billing = workspace.task_queues.list(friendly_name="billing")[0]
alice = workspace.workers.list(friendly_name="alice")[0]
bob = workspace.workers.list(friendly_name="bob")[0]


def accept(agent):
    """Waits until the agent is offered a task, accepts it, and returns the task's SID."""
    worker = workspace.workers(agent.sid)
    for _ in range(100):
        offers = worker.reservations.list(reservation_status="pending")
        if offers:
            worker.reservations(offers[-1].sid).update(reservation_status="accepted")
            return offers[-1].task_sid
        time.sleep(0.1)
    raise TimeoutError(f"no offer for {agent.friendly_name}: is the agent available?")


def wrap_up(agent, task):
    """Completes a task that is in wrap-up, and prints its status."""
    completed = workspace.tasks(task).update(assignment_status="completed")
    print(f"{agent.friendly_name}'s task: {completed.assignment_status}")


# An administrator enables transfers. Twilio's library has no call for this.
client.request(
    "POST",
    f"https://flex-api.twilio.com/v3/Instances/{INSTANCE}/TransferSettings",
    headers={"Content-Type": "application/json"},
    data={"enabled": True, "transfer_notes_enabled": True},
)

# A customer starts a conversation, and Alice accepts it.
interaction = client.flex_api.v1.interaction.create(
    channel={"type": "web", "initiated_by": "customer"},
    routing={"properties": {"queue_sid": support.sid, "attributes": {"customerName": "Crystal Minh"}}},
)
channel = client.flex_api.v1.interaction(interaction.sid).channels("UO" + interaction.sid[2:])
first = accept(alice)

# She transfers it to billing. The participant of an agent has the digits of the task.
transfer = channel.transfers.create(body={"from": "UT" + first[2:], "to": billing.sid, "type": "cold"})
second = accept(bob)
print(f"transfer: {channel.transfers(transfer.sid).fetch().status}")
wrap_up(alice, first)

# Bob closes the conversation, which leaves him to wrap up.
channel.update(status="closed", routing={"status": "wrapup"})
wrap_up(bob, second)
