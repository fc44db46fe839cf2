// The contents follow the reader. The last section may be too short to reach the top.
const sections = [...document.querySelectorAll("main > section")];
const strip = document.querySelector(".contents ol");
let marked;
addEventListener("scroll", () => {
  const atEnd = Math.ceil(scrollY + innerHeight) >= document.documentElement.scrollHeight;
  const passed = sections.filter(each => innerHeight / 5 >= each.getBoundingClientRect().top);
  const current = (atEnd ? sections : passed).at(-1);
  const link = current ? strip.querySelector(`a[href="#${current.id}"]`) : undefined;
  if (link === marked) return;
  marked?.removeAttribute("aria-current");
  link?.setAttribute("aria-current", "true");
  if (link) strip.scrollTo({left: link.offsetLeft - strip.clientWidth / 3});
  marked = link;
}, {passive: true});
