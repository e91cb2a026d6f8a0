// Registers a webhook endpoint at a running shop, buys something, and has the library of
// Standard Webhooks verify what the shop sends: with the first secret, within the overlap of a
// rotation with both, after one without overlap with the newest alone.
//
//   node verify.mjs SHOP OPERATOR-TOKEN
import { createServer } from "node:http";
import { once } from "node:events";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const [shop, operator] = process.argv.slice(2);
const patience = 60_000; // ms, for all messages of one step

async function call(method, path, { token = operator, body, headers } = {}) {
  const res = await fetch(shop + path, {
    method,
    headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }), ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(patience),
  });
  const text = await res.text();
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${text}`);
  return text && JSON.parse(text);
}

const messages = [];
let arrived = () => {};
const receiver = createServer(async (req, res) => {
  let body = "";
  for await (const chunk of req.setEncoding("utf8")) body += chunk;
  messages.push({ body, headers: req.headers });
  res.writeHead(204).end();
  arrived();
});
receiver.listen(0, "127.0.0.1");
await once(receiver, "listening");

// received waits until there is a message of a type, and returns all of it.
async function received(type) {
  const late = AbortSignal.timeout(patience);
  for (;;) {
    const found = messages.filter((m) => JSON.parse(m.body).type === type);
    if (found.length > 0) return found;
    if (late.aborted) throw new Error(`no ${type} came within ${patience} ms; ${messages.length} others did`);
    await new Promise((resolve) => {
      arrived = resolve;
      late.addEventListener("abort", resolve, { once: true });
    });
  }
}

function accepts(secret, m, body = m.body) {
  try {
    new Webhook(secret).verify(body, m.headers);
    return true;
  } catch (e) {
    if (e instanceof WebhookVerificationError) return false;
    throw e;
  }
}

function check(what, is) {
  if (!is) throw new Error(`not so: ${what}`);
}

const created = await call("POST", "/v1/webhook-endpoints", {
  body: { url: `http://127.0.0.1:${receiver.address().port}/hooks`, event_types: ["souk.order.v1.*"], ordered: true },
});
const endpoint = `/v1/webhook-endpoints/${created.endpoint.id}`;
const first = created.secret;

const found = await call("GET", "/v1/products?q=hanging%20heart&in_stock=true&limit=1", { token: "" });
const cart = await call("POST", "/v1/carts", { token: "", body: { lines: [{ sku: found.products[0].variants[0].sku, quantity: 2 }] } });
const order = await call("POST", "/v1/orders", {
  token: cart.token,
  headers: { "Idempotency-Key": crypto.randomUUID(), Prefer: "wait=20" },
  body: {
    cart_id: cart.id,
    payment_method: "pm_card_visa",
    email: "ada@example.com",
    shipping_address: { name: "Ada Lovelace", line1: "12 St James's Square", city: "London", postal_code: "SW1Y 4JH", country: "GB" },
  },
});
check("the order is paid", order.state === "PAID");
const [paid] = await received("souk.order.v1.OrderPaid");
check("the message is of the order", JSON.parse(paid.body).data.order_id === order.id);
check("OrderPlaced comes first", JSON.parse(messages[0].body).type === "souk.order.v1.OrderPlaced");
for (const m of messages) {
  check(`the library accepts ${m.headers["webhook-id"]}`, accepts(first, m));
  check("it refuses another body", !accepts(first, m, m.body.replace("{", "{ ")));
  check("it refuses another id", !accepts(first, { ...m, headers: { ...m.headers, "webhook-id": "evt_other" } }));
}
const bought = messages.length;

// next sends the message of a test, and returns it.
async function next() {
  messages.length = 0;
  await call("POST", `${endpoint}/test`);
  return (await received("souk.webhook.Test"))[0];
}
const { secret: second } = await call("POST", `${endpoint}/secret`, { body: { overlap_seconds: 3600 } });
let m = await next();
check("both secrets sign within the overlap", accepts(first, m) && accepts(second, m));
const { secret: third } = await call("POST", `${endpoint}/secret`, { body: { overlap_seconds: 0 } });
m = await next();
check("the newest alone signs without an overlap", !accepts(first, m) && !accepts(second, m) && accepts(third, m));

await call("DELETE", endpoint);
receiver.close();
receiver.closeAllConnections();
console.log(`standardwebhooks: accepts ${bought} messages of order ${order.number}, and those of a rotated secret`);
