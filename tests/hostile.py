"""Texts that a model might write to break out of an HTML page; `window.pwned` tells whether one ran."""

from __future__ import annotations

CALL = "window.pwned=(window.pwned||0)+1"
SHAPES = [
    "<script>{}</script>",
    "</script><script>{}</script>",
    "</SCRIPT ><script>{}</script>",
    "<!--<script>{}</script>",
    "--><script>{}</script>",
    "<!-- </script> --><script>{}//",
    "<img src=x onerror='{}'>",
    '"><img src=x onerror="{}">',
    "' onmouseover='{}' autofocus onfocus='{}' x='",
    "<svg onload='{}'></svg>",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin='{}' attributeName=x dur=1s></svg>",
    "<a href='javascript:{}'>click</a>",
    "javascript:{}",
    "<iframe src='javascript:{}'></iframe>",
    "<iframe srcdoc='<script>parent.{}</script>'></iframe>",
    "<body onload='{}'>",
    "<details open ontoggle='{}'>",
    "<math><mtext></p><style><img src=x onerror='{}'></style></mtext></math>",
    "<template><script>{}</script></template>",
    "</title><script>{}</script>",
    "</style><script>{}</script>",
    "</textarea><script>{}</script>",
    "]]><script>{}</script>",
    "{{{{ ''.__class__ }}}} {{% raw %}} ${{{}}} #{{x}}",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    "<base href='https://example.invalid/'><link rel=stylesheet href=x onload='{}'>",
    "<img src='https://example.invalid/x.png'><video src='https://example.invalid/v' onerror='{}'></video>",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e",
    "&lt;script&gt;{}&lt;/script&gt; &#60;script&#62;",
]
AROUND = ["{}", "\u202e{}\u202c", "a\u200b{}\ufeff", "\u2028{}\u2029", "\x00{}\x1b[2J", "\ud800{}", "مرحبا {} 中文"]
HOSTILE = [
    around.format(shape.replace("{}", CALL) if "{{" not in shape else shape.format(CALL))
    for around in AROUND
    for shape in SHAPES
]
assert len(HOSTILE) >= 200
