// Buys something with a client of the types that openapi-typescript makes.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const shop = createClient<paths>({ baseUrl: process.argv[2]! });
const must = <T>(got: { data?: T; error?: unknown }): T => {
  if (got.data === undefined) throw new Error(JSON.stringify(got.error));
  return got.data;
};

const found = must(await shop.GET("/v1/products", { params: { query: { q: "hanging heart", in_stock: true, limit: 1 } } }));
const sku = found.products[0]!.variants[0]!.sku;
const cart = must(await shop.POST("/v1/carts", { body: { lines: [{ sku, quantity: 2 }] } }));
const order = must(
  await shop.POST("/v1/orders", {
    params: { header: { "Idempotency-Key": crypto.randomUUID(), Prefer: "wait=20" } },
    headers: { Authorization: `Bearer ${cart.token}` },
    body: {
      cart_id: cart.id,
      payment_method: "pm_card_visa",
      email: "ada@example.com",
      shipping_address: { name: "Ada Lovelace", line1: "12 St James's Square", city: "London", postal_code: "SW1Y 4JH", country: "GB" },
    },
  }),
);
if (order.state !== "PAID" || order.total.amount !== cart.total.amount) throw new Error(`ended ${order.state}`);
console.log(`openapi-typescript: order ${order.number} is ${order.state}`);
