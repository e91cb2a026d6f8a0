// The shop works without this script. With it, adding to the cart keeps you on
// the page, changed quantities are sent at once, a variant shows its own price
// and picture, an order's page follows it, and pages that are the same for
// everybody show how many units are in the cart.
"use strict";

(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => root.querySelectorAll(selector);

  // The number on the cart. Markup comes from the shop itself.
  function showBadge(markup) {
    const badge = one("[data-badge]");
    if (!badge || !markup) return;
    const box = document.createElement("template");
    box.innerHTML = markup;
    badge.replaceWith(box.content);
  }

  // The count cookie; undefined when the browser keeps none.
  function cookieCount() {
    try {
      const sent = document.cookie;
      return (/(?:^|; )__Host-souk_count=(\d+)/.exec(sent) ?? /(?:^|; )souk_count=(\d+)/.exec(sent))?.[1];
    } catch {
      return undefined;
    }
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
    // A message stays while its link has the focus.
    const hide = () => {
      if (box.contains(document.activeElement) || box.matches(":hover")) toastTimer = setTimeout(hide, 2000);
      else box.hidden = true;
    };
    toastTimer = setTimeout(hide, 8000);
  }

  // What went wrong gets the focus, also in browsers that heed autofocus on
  // fields only.
  one("[data-focus]")?.focus();

  // Add to the cart without leaving the page. If anything is odd, the form is
  // sent the plain way, unless it may have been counted already.
  for (const form of all("form[data-add]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = one("button", form);
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true"); // disabled would lose the focus
      try {
        const answer = await fetch(form.action, {
          method: "POST",
          headers: { Accept: "application/json" },
          body: new URLSearchParams(new FormData(form)),
        });
        const said = await answer.json();
        if (!answer.ok) toast(said.error);
        else if (cookieCount() === undefined) toast(said.no_cookies);
        else {
          showBadge(said.badge);
          toast(said.message, "/cart");
        }
      } catch {
        toast("We could not reach the shop. Please look into your cart before you try again.", "/cart");
      } finally {
        button.removeAttribute("aria-disabled");
      }
    });
  }

  // The headline, the limit and the picture follow the chosen variant.
  const variants = one(".variants");
  if (variants) {
    const follow = () => {
      const chosen = one("input:checked", variants);
      if (!chosen) return;
      const headline = one("[data-headline]"), label = chosen.closest("label");
      headline.replaceChildren(one(".price", label).cloneNode(true), " ", one(".stock", label).cloneNode(true));
      one("#quantity").max = chosen.dataset.max;
      const picture = one("[data-picture]");
      if (picture.getAttribute("src") !== chosen.dataset.pictureUrl) picture.src = chosen.dataset.pictureUrl;
    };
    variants.addEventListener("change", follow);
    addEventListener("pageshow", follow); // the browser may restore another choice
  }

  // Changed quantities are sent by themselves, a moment after the last change.
  // The page stays: focus, scroll position and history are as they were.
  const cart = one("form[data-cart]");
  if (cart) {
    const update = one("[data-update]", cart);
    if (update) update.hidden = true;
    let timer = 0, busy = null, again = false;

    // Show the answer in place of what has changed.
    function merge(fresh, sent) {
      const main = one("main"), freshMain = one("main", fresh);
      const freshCart = one("form[data-cart]", fresh);
      const skus = (root) => [...all("[data-line]", root)].map((l) => l.dataset.line);
      document.title = fresh.title;
      showBadge(one("[data-badge]", fresh)?.outerHTML);
      for (const box of all("main > .notice, main > .problem")) box.remove();
      if (!freshCart || skus(cart).join() !== skus(freshCart).join()) {
        // A line has gone: the focus goes to its neighbor, or to the top.
        const lines = skus(cart), left = new Set(skus(fresh));
        const from = lines.indexOf(document.activeElement?.closest("[data-line]")?.dataset.line);
        const next = lines.slice(Math.max(from, 0)).concat(lines.slice(0, Math.max(from, 0)).reverse()).find((sku) => left.has(sku));
        if (freshCart) {
          cart.replaceChildren(...freshCart.childNodes);
          one("[data-update]", cart).hidden = true;
        } else {
          main.replaceChildren(...freshMain.childNodes);
        }
        const line = next && [...all("[data-line]", cart)].find((l) => l.dataset.line === next);
        const target = (line && one("input[type=number]", line)) || one("h1");
        if (target.tagName === "H1") target.tabIndex = -1;
        target.focus({ preventScroll: true });
      } else {
        one("[name=version]", cart).value = one("[name=version]", freshCart).value;
        const freshLines = all("[data-line]", freshCart);
        all("[data-line]", cart).forEach((line, i) => {
          for (const part of [".line-name", ".line-total"]) one(part, line).replaceWith(one(part, freshLines[i]));
          const input = one("input[type=number]", line), now = one("input[type=number]", freshLines[i]);
          for (const name of ["aria-invalid", "aria-describedby"]) {
            if (now.hasAttribute(name)) input.setAttribute(name, now.getAttribute(name));
            else input.removeAttribute(name);
          }
          if (input.value === sent.get(input.name)) input.value = now.value;
        });
        one(".sum", cart).replaceWith(one(".sum", freshCart));
        one("[data-update]", cart).hidden = true;
      }
      const problem = one("main > .problem", fresh);
      problem?.removeAttribute("autofocus"); // the focus stays in its field
      if (problem && cart.isConnected) cart.before(problem);
      const says = one("[data-cart-says]");
      if (says && !problem) says.textContent = [...all(".sum .total", cart)].map((p) => p.textContent.trim()).join(", ") || "Your cart is empty.";
    }

    async function send(extra) {
      clearTimeout(timer);
      if (busy) {
        again = true;
        return busy;
      }
      busy = (async () => {
        try {
          const sent = new URLSearchParams(new FormData(cart));
          for (const [name, value] of Object.entries(extra ?? {})) sent.set(name, value);
          const answer = await fetch("/cart", { method: "POST", body: sent });
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
          if (!one("[data-cart-says]", fresh)) throw new Error("not the cart");
          merge(fresh, sent);
        } catch {
          toast("We could not reach the shop. Your change was not saved; please try again.");
          if (update) one("[data-update]", cart).hidden = false;
        } finally {
          busy = null;
        }
      })();
      await busy;
      if (again) {
        again = false;
        await send();
      }
    }

    cart.addEventListener("change", (event) => {
      clearTimeout(timer);
      if (event.target.matches("input[type=number]") && event.target.checkValidity()) timer = setTimeout(send, 500);
    });
    cart.addEventListener("submit", async (event) => {
      const button = event.submitter;
      const name = button?.name;
      if (name === "remove" || name === "fix") {
        event.preventDefault();
        if (busy) await busy;
        send({ [name]: button.value });
      } else if (name === "then" && button.value === "checkout") {
        // What is under way must be answered first, or its answer's version is
        // missing.
        clearTimeout(timer);
        if (!busy) return;
        event.preventDefault();
        await busy;
        one("[name=then][value=checkout]", cart)?.click();
      } else {
        event.preventDefault(); // Enter in a quantity
        send();
      }
    });
    // A cart from the browser's memory is brought up to date where it stands.
    addEventListener("pageshow", async (event) => {
      if (!event.persisted) return;
      try {
        const sent = new URLSearchParams(new FormData(cart));
        const page = await (await fetch("/cart")).text();
        merge(new DOMParser().parseFromString(page, "text/html"), sent);
      } catch { /* sending it will tell */ }
    });
  }

  // One click orders once. The form's key makes sure of that; this only shows it.
  for (const form of all("form[data-once]")) {
    const button = one("button", form), label = button.textContent;
    form.addEventListener("submit", () => {
      form.dataset.sent = "";
      setTimeout(() => { button.disabled = true; button.textContent = "One moment…"; });
    });
    // Back in a form that was sent: it keeps what was typed and can be sent again.
    // The field lets the shop tell this from a second click.
    addEventListener("pageshow", (event) => {
      button.disabled = false;
      button.textContent = label;
      const back = event.persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward";
      const again = one("[name=again]", form);
      if (again && back && ("sent" in form.dataset || !event.persisted)) again.value = "1";
    });
  }

  // What was typed at the checkout is kept for this window while one looks
  // elsewhere, and forgotten with the order.
  const draft = "souk-checkout";
  const store = (use) => {
    try {
      return use(sessionStorage);
    } catch {
      return null; // not allowed
    }
  };
  const checkout = one(".checkout-form");
  if (checkout) {
    const fields = [...all("input:not([type=hidden], [type=radio]), select", checkout)];
    const save = () => store((s) => s.setItem(draft, JSON.stringify(Object.fromEntries(fields.map((f) => [f.name, f.value])))));
    if (checkout.dataset.draft === "yes") {
      const kept = JSON.parse(store((s) => s.getItem(draft)) ?? "{}");
      for (const f of fields) if (typeof kept[f.name] === "string") f.value = kept[f.name];
    } else {
      // An answer to the form is in no cache. Going back asks for the page anew, instead of
      // sending the form again.
      history.replaceState(null, "", location.href);
    }
    checkout.addEventListener("input", save);
    checkout.addEventListener("change", save);
  }
  const paid = () => { if (one("[data-order-state=PAID]")) store((s) => s.removeItem(draft)); };
  paid();

  // A page that everybody gets has no number on the cart, and one from the
  // browser's memory an old one. The cookie has what it is now.
  function countCart() {
    const units = Number(cookieCount() ?? 0);
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
  }
  if (!one("[data-cart-count]")) countCart();
  addEventListener("pageshow", (event) => {
    if (event.persisted && !cart) countCart();
  });

  // A cache in front of the shop says so when it shows what it had because the
  // shop does not answer.
  const timings = performance.getEntriesByType("navigation")[0]?.serverTiming ?? [];
  if (timings.some((timing) => timing.name === "stale")) {
    const notice = document.createElement("p");
    notice.className = "notice plain";
    notice.dataset.stale = "";
    notice.setAttribute("role", "status");
    notice.textContent = "A part of the shop does not answer just now. Prices and stock on this page may be out of date; what you pay is what the checkout says.";
    one("main").prepend(notice);
  }

  // Follow an order until it is settled. The stream is closed while the page is
  // in the browser's memory: an open one would keep it out of there.
  const live = one("[data-order-events]");
  if (live && "EventSource" in window) {
    let source = null, settled = false;
    const follow = () => {
      if (settled || source) return;
      source = new EventSource(live.dataset.orderEvents);
      source.addEventListener("order", async (event) => {
        const order = JSON.parse(event.data);
        if (one("[data-order-state]", live)?.dataset.orderState !== order.state) live.innerHTML = order.status;
        if (!order.settled) return;
        settled = true;
        source.close();
        paid();
        try {
          const page = await (await fetch(location.href)).text();
          const fresh = new DOMParser().parseFromString(page, "text/html");
          showBadge(one("[data-badge]", fresh)?.outerHTML);
        } catch { /* the number is set right on the next page */ }
      });
    };
    follow();
    addEventListener("pagehide", () => {
      source?.close();
      source = null;
    });
    addEventListener("pageshow", follow);
  }
})();
