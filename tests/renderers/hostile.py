"""
What a model may write where nobody expects it: each renderer is run on every one.
"""

HOSTILE = {
    "escape": "\x1b[2J\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "c1": "\x9b31m and \x84",
    "bidi": "user\u202etxt.exe\u2066\u2069\u200f",
    "hidden": "a\u200bb\ufeffc\u00add\U000e0041",
    "html": "</details><script>alert(1)</script><img src=x onerror=y>",
    "backticks": "`a``b```c`",
    "only backticks": "``",
    "table": "a|b\\|c|--|\n|x|y|",
    "cdata": "]]><!-- --> &amp; <![CDATA[",
    "control": "nul\x00bell\x07back\x08del\x7f",
    "surrogate": "\ud800 and \udfff",
    "noncharacter": "\ufffe \uffff \U0001ffff",
    "lines": "one\ntwo\r\nthree\rfour\u2028five\x0bsix",
    "markdown": "# head\n* [link](http://evil.example) ![i](x) @all #1 org/r#2 $x$ :tada: ~~s",
    "blank": "   \t ",
    "json": '\\u003cscript>{"a": "\\"}], \\u2028//',
    "attribute": "\" onmouseover=alert(1) x=' style=color:red ",
    "template": "{{ 7 * 7 }}{% include '/etc/passwd' %}${alert(1)}",
    "commands": "::error::x\n::set-output name=a::b\n##[add-mask]x\n##vso[a.b]%0A::debug::",
    "url": "javascript:alert(1) data:text/html,<script>alert(1)</script>",
    "combining": "Z" + "\u0351\u0321" * 40,
    "wide": "\u6f22\u5b57\uff21\U0001f600",
    "tag": '<tool_call>{"name": "x"}</tool_call>',
}
