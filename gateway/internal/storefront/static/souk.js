// The shop works without this script. With it, adding to the cart keeps you on
// the page, changed quantities are sent at once, and an order's page follows it.
"use strict";

(() => {
  const one = (selector, root = document) => root.querySelector(selector);

  // The number on the cart. Markup comes from the shop itself.
  function showBadge(markup) {
    const badge = one("[data-badge]");
    if (!badge || !markup) return;
    const box = document.createElement("template");
    box.innerHTML = markup;
    badge.replaceWith(box.content);
  }

  let toastTimer = 0;
  function toast(text, link) {
    const box = one("[data-toast]");
    if (!box) return;
    box.textContent = text + " ";
    if (link) {
      const a = document.createElement("a");
      a.href = link;
      a.textContent = "See the cart";
      box.append(a);
    }
    box.hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { box.hidden = true; }, 6000);
  }

  // Add to the cart without leaving the page. If anything is odd, the form is
  // sent the plain way, unless it may have been counted already.
  for (const form of document.querySelectorAll("form[data-add]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = one("button", form);
      if (button.disabled) return;
      button.disabled = true;
      try {
        const answer = await fetch(form.action, {
          method: "POST",
          headers: { Accept: "application/json" },
          body: new URLSearchParams(new FormData(form)),
        });
        const said = await answer.json();
        if (answer.ok) {
          showBadge(said.badge);
          toast(said.message, "/cart");
        } else {
          toast(said.error);
        }
      } catch {
        toast("We could not reach the shop. Please look into your cart before you try again.", "/cart");
      } finally {
        button.disabled = false;
      }
    });
  }

  // Send changed quantities and another sort order without a button.
  for (const form of document.querySelectorAll("form[data-cart]")) {
    const update = one("[data-update]", form);
    if (update) update.hidden = true;
    form.addEventListener("change", (event) => {
      if (event.target.matches("input[type=number]") && event.target.checkValidity()) form.requestSubmit();
    });
  }
  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    const button = one("button", form);
    if (button) button.hidden = true;
    form.addEventListener("change", () => form.requestSubmit());
  }

  // One click orders once. The form's key makes sure of that; this only shows it.
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      const button = one("button", form);
      setTimeout(() => { button.disabled = true; button.textContent = "One moment…"; });
    });
  }

  // A page that comes back from the browser's memory may be out of date: a form
  // is loaded anew, elsewhere the number on the cart is enough.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    if (one("form[data-once], form[data-cart], [data-order-events]")) {
      location.reload();
      return;
    }
    const units = Number(/(?:^|; )souk_count=(\d+)/.exec(document.cookie)?.[1] ?? 0);
    const badge = document.createElement("span");
    badge.dataset.badge = "";
    if (units > 0) {
      const number = document.createElement("span");
      number.className = "badge";
      number.dataset.cartCount = "";
      number.textContent = units.toLocaleString("en-GB");
      badge.append(number);
    }
    showBadge(badge.outerHTML);
  });

  // Follow an order until it is settled.
  const live = one("[data-order-events]");
  if (live && "EventSource" in window) {
    const source = new EventSource(live.dataset.orderEvents);
    source.addEventListener("order", async (event) => {
      const order = JSON.parse(event.data);
      if (one("[data-order-state]", live)?.dataset.orderState !== order.state) live.innerHTML = order.status;
      if (!order.settled) return;
      source.close();
      try {
        const page = await (await fetch(location.href)).text();
        const fresh = new DOMParser().parseFromString(page, "text/html");
        showBadge(one("[data-badge]", fresh)?.outerHTML);
      } catch { /* the number is set right on the next page */ }
    });
  }
})();
