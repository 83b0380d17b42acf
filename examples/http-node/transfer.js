// Transfers a conversation over Baton's HTTP API, with Twilio's library for Node. See ../README.md.
import twilio from "twilio";

const { BATON, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, WORKSPACE, INSTANCE } = process.env;

// ToBaton sends to Baton what the library sends to Twilio.
class ToBaton extends twilio.RequestClient {
  request(options) {
    return super.request({ ...options, uri: options.uri.replace(/^https:\/\/[a-z.-]+\.twilio\.com/, BATON) });
  }
}

const client = twilio(TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, { httpClient: new ToBaton() });
const workspace = client.taskrouter.v1.workspaces(WORKSPACE);

const [support] = await workspace.taskQueues.list({ friendlyName: "support" });
const [billing] = await workspace.taskQueues.list({ friendlyName: "billing" });
const [alice] = await workspace.workers.list({ friendlyName: "alice" });
const [bob] = await workspace.workers.list({ friendlyName: "bob" });

// accept waits until the agent is offered a task, accepts it, and returns the task's SID.
async function accept(agent) {
  const reservations = workspace.workers(agent.sid).reservations;
  for (let tries = 0; tries < 100; tries++) {
    const offer = (await reservations.list({ reservationStatus: "pending" })).at(-1);
    if (offer) {
      await reservations(offer.sid).update({ reservationStatus: "accepted" });
      return offer.taskSid;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`no offer for ${agent.friendlyName}: is the agent available?`);
}

// wrapUp completes a task that is in wrap-up, and prints its status.
async function wrapUp(agent, task) {
  const { assignmentStatus } = await workspace.tasks(task).update({ assignmentStatus: "completed" });
  console.log(`${agent.friendlyName}'s task: ${assignmentStatus}`);
}

// An administrator enables transfers. Twilio's library has no call for this.
await client.request({
  method: "post",
  uri: `https://flex-api.twilio.com/v3/Instances/${INSTANCE}/TransferSettings`,
  headers: { "Content-Type": "application/json" },
  data: { enabled: true, transfer_notes_enabled: true },
});

// A customer starts a conversation, and Alice accepts it.
const interaction = await client.flexApi.v1.interaction.create({
  channel: { type: "web", initiated_by: "customer" },
  routing: { properties: { queue_sid: support.sid, attributes: { customerName: "Crystal Minh" } } },
});
const channel = client.flexApi.v1.interaction(interaction.sid).channels(`UO${interaction.sid.slice(2)}`);
const first = await accept(alice);

// She transfers it to billing. The participant of an agent has the digits of the task.
const transfer = await channel.transfers.create({ from: `UT${first.slice(2)}`, to: billing.sid, type: "cold" });
const second = await accept(bob);
console.log(`transfer: ${(await channel.transfers(transfer.sid).fetch()).status}`);
await wrapUp(alice, first);

// Bob closes the conversation, which leaves him to wrap up.
await channel.update({ status: "closed", routing: { status: "wrapup" } });
await wrapUp(bob, second);
