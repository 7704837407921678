"""vSphere's Web Services API (SOAP, ``urn:vim25``) for a vCenter of the laboratory.

=============================  =====================================================================
``vim25``                      data objects and faults, declared as classes in the schema's order
``codec``, ``soap``            XML from and to these classes, envelopes; know no type by name
``managed``, ``objects``       managed objects: classes whose methods and properties are rows
``call``, ``endpoint``         one call of a client; objects by reference, methods by name
``sessions``, ``task_list``    what lives longer than a call
``faults``                     the one table from vCenter's errors to faults of the API
``requests``                   calls of the API as calls of vCenter, with the API's names in faults
``reconfiguration``            what a specification asks of a machine, in the order that is possible
``placement``                  on which host a new or moved machine is to be
``alarm_states``               vCenter's alarms as states of entities of the API
``event_selection``            which events a filter selects, and how they are shown
``rest``                       the REST API for native key providers
``application``, ``server``    ASGI and HTTPS
=============================  =====================================================================

How to add

a type
    A class in a module of ``vim25``: see :mod:`.vim25.declaration`. A test holds its name, base class,
    fields, their order, types and versions to pyVmomi's table.
a managed object
    A class in a module of ``objects``, which is imported in ``objects/__init__.py``. One that exists
    once has ``moid=`` and, if clients find it through ``ServiceContent``, ``content=`` with the field
    there; its constructor takes the reference only. For those that are many, a function under
    ``@finder("TypeName")`` (:mod:`.endpoint`) makes the object from its reference, and returns None
    where there is none. Objects that belong to a session are in ``session.objects``.
a method or a property
    A function under ``@method`` or ``@prop`` in the class: see :mod:`.managed`. It takes the
    :class:`~.call.Call` first. ``await call.run(SomeRequest(...))`` makes one of vCenter's own calls as
    the user, with its privilege, its audit and its events; where there is none, name the privilege in
    the row or use ``call.require``. A property is not set where it returns None.
    ``raise Fault(faults.X(...), "text")`` answers a fault; errors of vCenter become faults by the
    table in :mod:`.faults`.
a task
    ``return call.endpoint.tasks.start(call, "Type.method", work)``, where ``work`` is a function whose
    result becomes that of the task (:class:`~.vim25.declaration.Value` if it is an array).
another protocol
    A function in ``application.OTHER_PATHS`` by the start of its path; for SOAP in another namespace, a
    path in ``application.SOAP_PATHS``, and types and objects with ``namespace=``.
"""
